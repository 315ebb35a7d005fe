"""Events: fit for JSON, with the task's id, and digestible by Celery's own monitor."""

from __future__ import annotations

import inspect
import json
import math
import threading
from dataclasses import replace
from typing import Any

import pytest
from celery import current_task
from celery.events import Event
from celery.events.dispatcher import EventDispatcher
from celery.events.state import State, Task

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


def test_a_monitor_ends_with_celerys_state_and_knows_the_key() -> None:
    monitor: Any = State()
    told = [event_observer_of(fact) for fact in ONE_OF_EACH]

    for clock, (kind, carried) in enumerate(
        [("task-received", {"name": "shop.charge"}), ("task-started", {}), *told], start=1
    ):
        receive(monitor, kind, clock, carried)
    running = monitor.tasks["id-1"].state
    receive(monitor, "task-succeeded", 20, {"result": "1"})

    task = monitor.tasks["id-1"]
    assert running == "LOCK-STORE-FAILED"
    assert task.state == "SUCCESS"
    assert (task.name, task.key, task.token) == ("shop.charge", "user:7", 5)


def event_observer_of(fact: Fact) -> tuple[str, dict[str, Any]]:
    sent: list[tuple[str, dict[str, Any]]] = []
    event_observer(lambda kind, carried: sent.append((kind, carried)))(replace(fact))
    return sent[0]


def receive(monitor: Any, kind: str, clock: int, carried: dict[str, Any]) -> None:
    frame = {"hostname": "w@1", "clock": clock, "local_received": 1.0 * clock}
    event = {**Event(kind, **{**carried, "uuid": "id-1"}), **frame}
    monitor.event(json.loads(json.dumps(event)))
