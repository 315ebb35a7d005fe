"""Amazon SQS: what names a message, what tells a copy, and what is kept when it is sent again."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context

from celery_lock.app.locks import AppLocks
from celery_lock.message import Parts, give, leave, pack, take, unpack
from celery_lock.message.pauses import Outgoing
from celery_lock.message.raw import RawMessage
from celery_lock.message.sqs import message_id, received_before, redeliveries
from celery_lock.message.sqs_queues import QueueFacts
from celery_lock.message.transports import SQS

pytestmark = pytest.mark.unit

NAME = "0f1a3c5e-0000-4000-8000-0123456789ab"


def received(count: Any = "1", **message: Any) -> dict[str, Any]:
    """Properties as kombu makes them for a message that SQS hands out."""
    attributes = {} if count is None else {"ApproximateReceiveCount": count}
    handed_out = {
        "MessageId": NAME,
        "ReceiptHandle": "r" * 600,
        "Body": "{}",
        "Attributes": attributes,
        **message,
    }
    info = {"exchange": "", "routing_key": "celery", "sqs_message": handed_out, "sqs_queue": "url"}
    return {"delivery_info": info, "delivery_tag": "r" * 600}


def request(properties: Any, **info: Any) -> Context:
    return Context({"id": "id-1", "properties": properties, "delivery_info": info})


# -- what names a message --------------------------------------------------------------------


def test_a_message_has_the_name_that_sqs_gave_it_at_each_receive() -> None:
    first, second = received("1", ReceiptHandle="a"), received("2", ReceiptHandle="b")

    assert message_id(request(first)) == message_id(request(second)) == NAME


@pytest.mark.parametrize("name", [None, "", 7])
def test_a_message_without_such_a_name_has_none_and_never_its_receipt(name: Any) -> None:
    assert message_id(request(received(MessageId=name))) is None


@pytest.mark.parametrize(
    "properties",
    [None, {}, {"delivery_info": None}, {"delivery_info": {}},
     {"delivery_info": {"sqs_message": None}}, {"delivery_tag": "r-1"}],
)  # fmt: skip
def test_a_message_that_says_nothing_of_sqs_has_no_name_and_was_not_received_before(
    properties: Any,
) -> None:
    asked = request(properties)

    assert (message_id(asked), redeliveries(asked), received_before(asked)) == (None, 0, False)


# -- what tells a copy -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "before"),
    [("1", 0), ("2", 1), (3, 2), ("17", 16), (None, 0), ("", 0), ("many", 0), ("-1", 0), (0, 0)],
)
def test_the_receives_before_this_one_are_counted(count: Any, before: int) -> None:
    asked = request(received(count))

    assert redeliveries(asked) == before
    assert received_before(asked) is (before > 0)


def test_the_flag_of_other_brokers_says_nothing_here() -> None:
    assert not received_before(request(received("1"), redelivered=True))
    assert received_before(request(received("2"), redelivered=None))


# -- where a pause waits ---------------------------------------------------------------------


def paused(queue: str, delay: float, **headers: Any) -> Outgoing:
    message = Outgoing(queue, headers)
    pause = SQS.pause_in(queue, {})
    pause.write(message, pause.bounded(delay))
    return message


@pytest.mark.parametrize(
    ("delay", "seconds"), [(1.0, 1), (1.9, 1), (30.0, 30), (900.0, 900), (86_400.0, 900)]
)
def test_a_message_waits_in_its_queue_in_whole_seconds(delay: float, seconds: int) -> None:
    message = paused("orders", delay, eta="2020-01-01T00:00:00")

    assert message.properties == {"DelaySeconds": seconds}
    assert type(message.properties["DelaySeconds"]) is int  # kombu before 5.7 hands it on as it is
    assert message.headers == {"eta": None}


def test_a_message_waits_in_a_worker_for_less_than_a_second() -> None:
    message = paused("orders", 0.5)

    assert (message.properties, set(message.headers)) == ({}, {"eta"})


@pytest.mark.parametrize("queue", ["orders", "orders.fifo"])
def test_without_a_pause_nothing_is_said_of_one(queue: str) -> None:
    message = paused(queue, 0.0)

    assert (message.properties, message.headers) == ({}, {})


@pytest.mark.parametrize(("delay", "longest"), [(1.2, 1.2), (2.0, 2.0), (900.0, 2.0)])
def test_a_message_of_a_fifo_queue_waits_in_a_worker_and_holds_its_group_up_for_two_seconds(
    delay: float, longest: float
) -> None:
    assert SQS.pause_in("orders.fifo", {}).bounded(delay) == longest
    message = paused("orders.fifo", delay)

    assert (message.properties, set(message.headers)) == ({}, {"eta"})


def test_the_visibility_timeout_bounds_the_pause_of_a_fifo_queue_still_more() -> None:
    row = replace(SQS, longest_pause=0.5)

    assert row.pause_in("orders.fifo", {}).bounded(900) == 0.5
    assert row.pause_in("orders", {}).bounded(900) == 900


# -- what is kept ----------------------------------------------------------------------------


def sent_again(properties: dict[str, Any]) -> dict[str, Any]:
    raw = RawMessage(b"", "application/json", "utf-8", {}, properties, "orders.fifo")
    return dict(raw.of_its_sender().properties)


def test_its_group_is_kept_and_what_makes_sqs_swallow_a_second_one_is_not() -> None:
    given = {"MessageGroupId": "user-7", "MessageDeduplicationId": "once", "DelaySeconds": 5}

    assert sent_again({**received(), **given}) == {"MessageGroupId": "user-7"}


def test_a_group_that_somebody_else_gave_it_is_kept_where_sqs_says_it() -> None:
    attributes = {"ApproximateReceiveCount": "1", "MessageGroupId": "user-8"}

    assert sent_again(received(Attributes=attributes)) == {"MessageGroupId": "user-8"}


def test_a_message_without_a_group_gets_none() -> None:
    assert sent_again(received()) == {}


def test_a_large_message_crosses_the_pipe_as_often_as_that_of_a_plain_task() -> None:
    """Kombu keeps what SQS handed out beside the message: both go to the pool process, once."""
    body = b"x" * 190_000
    properties = received(Body="y" * 338_000)
    plain: dict[str, Any] = {"id": "id-1", "properties": properties}
    locked: dict[str, Any] = {"id": "id-1"}
    give(locked, properties, Parts(body, "application/json", "utf-8", {}, "orders"))

    crossing = [len(pickle.dumps((request, body))) for request in (plain, locked)]

    assert crossing[1] - crossing[0] < 300


def test_what_sqs_handed_out_is_not_packed() -> None:
    packed = pack(
        RawMessage(b"[]", "application/json", "utf-8", {}, received(Body="y" * 9000), "q")
    )

    assert len(packed) < 300
    assert unpack(packed).properties == {}


@pytest.mark.parametrize("facts", [None, QueueFacts(60.0, 3)])
def test_a_delivery_knows_what_its_queue_says(facts: Any) -> None:
    app = Celery("shop", broker="sqs://", set_as_current=False)
    locks = AppLocks(app)
    about: dict[str, Any] = {"id": "id-1"}
    give(about, received(), Parts(b"", "json", "utf-8", {}, "orders", facts=facts))
    request = Context(pickle.loads(pickle.dumps(about)))
    take(request)

    try:
        row = locks.transport_of(request)
        assert row.visibility == (30.0 if facts is None else 60.0)
        assert locks.transport_of(request) is row
    finally:
        leave(request)
