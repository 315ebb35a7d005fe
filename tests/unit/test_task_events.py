"""Events: fit for JSON, with the task's id, and digestible by Celery's own monitor."""

from __future__ import annotations

import inspect
import json
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery, current_task
from celery.app.events import Events
from celery.events import Event
from celery.events.dispatcher import EventDispatcher
from celery.events.receiver import EventReceiver
from celery.events.state import TASK_EVENT_TO_STATE, State, Task

from celery_lock.app.observing import know_earlier_names
from celery_lock.events import Fact, Observers
from celery_lock.events.table import TABLE
from celery_lock.events.task_events import event_fields, event_observer
from celery_lock.policies import requeue, skip

from .facts import ONE_OF_EACH, conflicted, lost


@pytest.mark.parametrize("fact", ONE_OF_EACH, ids=lambda fact: type(fact).__name__)
def test_every_event_says_which_task_which_key_and_goes_through_json(fact: Fact) -> None:
    carried = event_fields(fact)

    assert carried["uuid"] == "id-1"
    assert carried["name"] == "shop.charge"
    assert carried["template"] == "user:{user_id}"
    assert carried["key"] == "user:7"
    assert json.loads(json.dumps(carried, allow_nan=False)) == carried


def test_a_conflict_says_who_has_the_key_and_what_was_decided() -> None:
    carried = event_fields(conflicted(requeue(), attempt=3))

    assert carried["holder"] == "id-2#web-1#17#ab"
    assert carried["holder_task"] == "id-2"
    assert carried["holder_node"] == "web-1"
    assert carried["holder_pid"] == 17
    assert carried["holder_since"] == 1_700_000_000.0
    assert (carried["decision"], carried["attempt"]) == ("requeue", 3)


def test_a_decision_carries_its_name_alone() -> None:
    secret = conflicted(skip(result={"card": "4000"}))

    assert event_fields(secret)["decision"] == "skip"
    assert "4000" not in json.dumps(event_fields(secret))


def test_what_json_does_not_know_becomes_null() -> None:
    assert event_fields(conflicted(expires_in=math.inf))["expires_in"] is None


@pytest.mark.parametrize("fact", ONE_OF_EACH, ids=lambda fact: type(fact).__name__)
def test_no_field_takes_a_name_that_celery_uses_for_itself(fact: Fact) -> None:
    taken = {
        *inspect.signature(EventDispatcher.send).parameters,
        *inspect.signature(EventDispatcher.publish).parameters,
        *inspect.signature(Event).parameters,
        *("hostname", "utcoffset", "pid", "clock", "timestamp", "type", "local_received"),
        *(name for name in dir(Task) if not name.startswith("__")),
        *vars(Task)["_fields"],
    } - {"fields", "uuid", "name"}  # the two of the task are meant to be Celery's own

    assert set(event_fields(fact)) & taken == set()


def test_the_type_is_that_of_the_table() -> None:
    sent: list[tuple[str, dict[str, Any]]] = []
    observer = event_observer(lambda kind, carried: sent.append((kind, carried)))

    for fact in ONE_OF_EACH:
        observer(fact)

    assert [kind for kind, _ in sent] == [row.event for row in TABLE]
    assert [carried for _, carried in sent] == [event_fields(fact) for fact in ONE_OF_EACH]


def test_a_fact_told_from_another_thread_carries_the_id_of_its_task() -> None:
    sent: list[tuple[dict[str, Any], bool]] = []
    observers = Observers(
        event_observer(lambda kind, carried: sent.append((carried, bool(current_task))))
    )

    keeper = threading.Thread(target=observers.notify, args=(lost(),))
    keeper.start()
    keeper.join()

    assert [(carried["uuid"], in_task) for carried, in_task in sent] == [("id-1", False)]


@pytest.mark.parametrize("receiver", ["Celery's own", "the app's"])
@pytest.mark.parametrize("state", ["RECEIVED", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"])
@pytest.mark.parametrize("fact", ONE_OF_EACH, ids=lambda fact: type(fact).__name__)
def test_no_event_of_ours_changes_what_a_monitor_knows(
    fact: Fact, state: str, receiver: str
) -> None:
    (word,) = [kind for kind, becomes in TASK_EVENT_TO_STATE.items() if becomes == state]
    monitor: Any = State()
    receive = receiver_of(receiver, {"*": monitor.event})
    receive({"type": f"task-{word}", "hostname": "w@1"})

    receive(event_of(fact) | {"hostname": "gen17@1"})

    assert monitor.tasks["id-1"].state == state
    assert list(monitor.workers) == ["w@1"]


def test_a_handler_of_the_app_gets_each_event_by_the_name_it_asks_for() -> None:
    new: list[dict[str, Any]] = []
    earlier: list[dict[str, Any]] = []
    every: list[dict[str, Any]] = []
    handlers = {"lock-acquired": new.append, "task-lock-lost": earlier.append, "*": every.append}
    receive = receiver_of("the app's", handlers)

    for fact in ONE_OF_EACH:
        receive(event_of(fact))

    assert [event["type"] for event in new] == ["lock-acquired"]
    assert [event["type"] for event in earlier] == ["task-lock-lost"]
    assert {event["type"] for event in every} == {
        f"task-{row.event}" for row in TABLE if row.event not in ("lock-acquired", "lock-lost")
    }
    assert json.loads(json.dumps(every)) == every


def test_a_monitor_that_does_not_load_us_gets_each_event_as_it_was_sent() -> None:
    every: list[dict[str, Any]] = []
    receive = receiver_of("Celery's own", {"*": every.append})

    for fact in ONE_OF_EACH:
        receive(event_of(fact))

    assert [event["type"] for event in every] == [row.event for row in TABLE]


def test_a_receiver_that_a_user_has_chosen_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Events, "receiver_cls", "shop.monitors:Receiver")

    know_earlier_names()

    assert Events.receiver_cls == "shop.monitors:Receiver"


def event_of(fact: Fact) -> dict[str, Any]:
    """What comes over the wire of a fact."""
    sent: list[dict[str, Any]] = []
    event_observer(lambda kind, carried: sent.append({**carried, "type": kind}))(replace(fact))
    return sent[0]


def receiver_of(kind: str, handlers: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """What gives each event that comes in to the handlers."""
    app = Celery("monitor", broker="memory://", set_as_current=False)
    with app.connection_for_read() as connection:
        if kind == "the app's":
            receiver = app.events.Receiver(connection, handlers=handlers)
        else:
            receiver = EventReceiver(connection, handlers=handlers, app=app)

    def receive(event: dict[str, Any]) -> None:
        whole = {"uuid": "id-1", "hostname": "w@1", "timestamp": 1.0, "utcoffset": 0, "clock": 1}
        receiver._receive(json.loads(json.dumps(whole | event)), None)

    return receive
