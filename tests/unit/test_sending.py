"""Sending a message again: what goes out, and what is done when the broker does not take it."""

from __future__ import annotations

import pickle
import sys
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from celery_lock import LockError
from celery_lock.message import HEADER, Header, Sender, Unsent, sending
from celery_lock.message.outlet import Outlet
from celery_lock.message.raw import RawMessage

from .forking import holds_in_a_child

HEADERS = {"id": "id-1", "task": "charge", "lang": "py", "x-tenant": {"name": "a"}}


@pytest.fixture
def app() -> Celery:
    return Celery("shop", broker="memory://", set_as_current=False)


def raw(queue: str | None = "fast", **changes: Any) -> RawMessage:
    values: dict[str, Any] = {
        "body": b"[[7], {}, {}]",
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": HEADERS,
        "properties": {"correlation_id": "id-1", "reply_to": "r-1", "priority": 3},
        "queue": queue,
    }
    return RawMessage(**{**values, **changes})


def taken(app: Celery, queue: str = "fast") -> Any:
    """Take the next message of a queue as a worker would."""
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue(queue).get_nowait()
        message.ack()
        return message


class Producer:
    """Raises what it is told to, once for each."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors, self.published, self.collected = list(errors), 0, 0
        self.connection = self

    def publish(self, *args: Any, **options: Any) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.published += 1

    def collect(self, **options: Any) -> None:
        self.collected += 1


def sender_with(
    app: Celery, monkeypatch: pytest.MonkeyPatch, producer: Producer
) -> tuple[Sender, list[int]]:
    sender, connects = Sender(app), []

    def connect(broker: int, on_return: Any) -> Producer:
        connects.append(1)
        return producer

    monkeypatch.setattr(sender, "_connect", connect)
    return sender, connects


# -- what goes out ---------------------------------------------------------------------------


def test_the_very_same_message_goes_to_the_queue_it_came_from(app: Celery) -> None:
    Sender(app).send(raw(), Header(key="k", attempt=1), delay=0)

    message = taken(app)
    assert message.body in (b"[[7], {}, {}]", "[[7], {}, {}]")
    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")
    assert message.properties["correlation_id"] == "id-1"
    assert message.properties["reply_to"] == "r-1"
    assert message.properties["priority"] == 3
    assert {name: message.headers[name] for name in HEADERS} == HEADERS
    assert message.headers[HEADER]["key"] == "k"
    assert message.headers[HEADER]["attempt"] == 1


@pytest.mark.parametrize(
    "name", ["redelivered", "x-delivery-count", "x-death", "x-first-death-queue"]
)
def test_what_a_broker_wrote_on_the_way_stays_behind(app: Celery, name: str) -> None:
    Sender(app).send(raw(headers={**HEADERS, name: 1}), Header(), delay=0)

    assert name not in taken(app).headers


def test_a_pause_is_when_the_message_is_due(app: Celery) -> None:
    before = datetime.now(timezone.utc)
    Sender(app).send(raw(headers={**HEADERS, "eta": "2020-01-01T00:00:00"}), Header(), delay=60)

    due = datetime.fromisoformat(taken(app).headers["eta"])
    assert timedelta(0) <= due - before - timedelta(seconds=60) < timedelta(seconds=10)


def test_without_a_pause_an_old_time_is_forgotten(app: Celery) -> None:
    Sender(app).send(raw(headers={**HEADERS, "eta": "2020-01-01T00:00:00"}), Header(), delay=0)

    assert taken(app).headers["eta"] is None


def test_a_message_without_a_queue_to_go_back_to_is_not_sent(app: Celery) -> None:
    with pytest.raises(LockError, match=r"exchange that leads to no queue.*use skip\(\)"):
        Sender(app).send(raw(queue=None), Header(), delay=0)


# -- the broker does not take it -------------------------------------------------------------


@pytest.mark.parametrize("error", [OperationalError("gone"), ConnectionResetError(), OSError()])
def test_an_idle_connection_that_died_is_no_outage(
    app: Celery, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    producer = Producer()
    sender, connects = sender_with(app, monkeypatch, producer)
    sender.send(raw(), Header(), delay=0)
    producer.errors.append(error)

    sender.send(raw(), Header(), delay=0)

    assert (producer.published, producer.collected, len(connects)) == (2, 1, 2)


@pytest.mark.parametrize("errors", [[OSError("one")], [OSError("none"), OSError("one")]])
def test_a_new_connection_that_fails_is_an_outage(
    app: Celery, monkeypatch: pytest.MonkeyPatch, errors: list[BaseException]
) -> None:
    producer = Producer()
    sender, _ = sender_with(app, monkeypatch, producer)
    if len(errors) > 1:
        sender.send(raw(), Header(), delay=0)
    producer.errors += errors

    with pytest.raises(Unsent, match="the broker did not take the message: one"):
        sender.send(raw(), Header(), delay=0)


def test_a_broker_that_hangs_is_not_asked_a_second_time(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = Producer()
    sender, _ = sender_with(app, monkeypatch, producer)
    sender.send(raw(), Header(), delay=0)
    producer.errors += [TimeoutError("late")]

    with pytest.raises(Unsent, match="late"):
        sender.send(raw(), Header(), delay=0)


def test_nor_is_one_whose_driver_has_a_word_of_its_own_for_that(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([100.0, 103.0])
    monkeypatch.setattr(sending, "steady", lambda: next(times))
    sender, connects = sender_with(app, monkeypatch, Producer(OSError("read timeout")))
    monkeypatch.setattr(Outlet, "is_open", True)

    with pytest.raises(Unsent):
        sender.send(raw(), Header(), delay=0)

    assert len(connects) == 1


def test_a_broker_without_exchanges_is_not_sent_a_message_that_it_refused_by_another_way(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody has declared the exchange, kombu would send it to a queue that nobody reads."""

    class Full(Exception):
        pass

    monkeypatch.setitem(sys.modules, "pymongo.errors", SimpleNamespace(PyMongoError=Full))  # type: ignore[arg-type]
    entity = pickle.dumps(Queue("fast", Exchange("fast"), routing_key="fast"))
    producer = Producer(Full())
    sender, _ = sender_with(app, monkeypatch, producer)

    with pytest.raises(Unsent):
        sender.send(raw(entity=entity), Header(), delay=0)

    assert producer.published == 0


def test_after_an_outage_it_sends_again(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = Producer(OSError("one"))
    sender, _ = sender_with(app, monkeypatch, producer)
    with pytest.raises(Unsent):
        sender.send(raw(), Header(), delay=0)

    sender.send(raw(), Header(), delay=0)

    assert producer.published == 1


@pytest.mark.parametrize("error", [ValueError("odd"), AttributeError("odd"), RecursionError("odd")])
def test_what_went_wrong_in_a_driver_loses_no_message(
    app: Celery, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It is the only copy, whatever an error that nobody foresaw may mean."""
    producer = Producer(error)
    sender, _ = sender_with(app, monkeypatch, producer)

    with pytest.raises(Unsent, match=rf"could not be sent: {type(error).__name__}: odd"):
        sender.send(raw(), Header(), delay=0)

    assert producer.collected == 1


@pytest.mark.parametrize("stop", [SoftTimeLimitExceeded(), SystemExit()], ids=repr)
def test_a_connection_that_a_stop_fell_into_is_not_used_again(
    app: Celery, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    """It is in the middle of a call: what it reads next would be the answer to that one."""
    producer = Producer(stop)
    sender, connects = sender_with(app, monkeypatch, producer)
    with pytest.raises(type(stop)):
        sender.send(raw(), Header(), delay=0)

    sender.send(raw(), Header(), delay=0)

    assert (producer.collected, len(connects)) == (1, 2)


def test_one_connection_serves_many_messages(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    sender, connects = sender_with(app, monkeypatch, Producer())

    for _ in range(5):
        sender.send(raw(), Header(), delay=0)

    assert len(connects) == 1


def test_a_child_opens_a_connection_of_its_own(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, connects = sender_with(app, monkeypatch, Producer())
    sender.send(raw(), Header(), delay=0)

    def connects_anew() -> bool:
        sender.send(raw(), Header(), delay=0)
        return len(connects) == 2

    assert holds_in_a_child(connects_anew)
