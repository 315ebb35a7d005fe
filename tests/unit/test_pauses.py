"""How a message waits for its next try: in a worker, or in the broker."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from celery_lock.message.delayed import binding_key, delayed_for, delayed_key
from celery_lock.message.pauses import Outgoing, as_eta
from celery_lock.message.transports import AMQP, REDIS, Transport

QUORUM = {"x-queue-type": "quorum"}


def outgoing(**headers: Any) -> Outgoing:
    return Outgoing("fast", headers)


# -- in a worker -----------------------------------------------------------------------------


@pytest.mark.parametrize("row", [REDIS, AMQP], ids=lambda row: row.driver)
@pytest.mark.parametrize("delay", [0.0, 0.003, 1.0, 14.9])
def test_a_short_pause_is_left_as_it_is(row: Transport, delay: float) -> None:
    assert row.pause_in("fast", {"x-queue-type": "classic"}).bounded(delay) == delay


def test_a_pause_is_written_as_the_time_at_which_the_message_is_due() -> None:
    message = outgoing(id="id-1", eta="2020-01-01T00:00:00")
    before = datetime.now(timezone.utc)

    as_eta(message, 60)

    due = datetime.fromisoformat(message.headers["eta"])
    assert timedelta(0) <= due - before - timedelta(seconds=60) < timedelta(seconds=10)
    assert message.headers["id"] == "id-1"
    assert (message.exchange, message.routing_key) == ("", "fast")


def test_without_a_pause_an_old_time_is_forgotten_and_none_is_made_up() -> None:
    old, none = outgoing(eta="2020-01-01T00:00:00"), outgoing()
    for message in (old, none):
        as_eta(message, 0)

    assert (old.headers, none.headers) == ({"eta": None}, {})


@pytest.mark.parametrize(("milliseconds", "longest"), [(60_000, 15.0), (86_400_000, 450.0)])
def test_a_consumer_timeout_that_the_queue_declares_bounds_a_pause(
    milliseconds: int, longest: float
) -> None:
    pause = AMQP.pause_in("fast", {"x-consumer-timeout": milliseconds})

    assert pause.bounded(10_000) == longest


# -- in RabbitMQ -----------------------------------------------------------------------------


def test_a_message_of_a_quorum_queue_waits_in_the_broker() -> None:
    message = outgoing(eta="2020-01-01T00:00:00")

    AMQP.pause_in("fast", QUORUM).write(message, 5)

    assert message.headers == {"eta": None}
    assert message.exchange == "celery_delayed_27"
    assert message.routing_key == "0." * 25 + "1.0.1.celery_lock.fast"
    assert delayed_for("celery_delayed_delivery", message.routing_key) == "fast"


@pytest.mark.parametrize(
    ("delay", "whole"), [(0.0, 0), (0.003, 1), (1.0, 1), (1.9, 1), (14.9, 14), (9_999.0, 900)]
)
def test_it_waits_for_as_many_whole_seconds_as_celerys_own(delay: float, whole: int) -> None:
    assert AMQP.pause_in("fast", QUORUM).bounded(delay) == whole


@pytest.mark.parametrize("queue", ["a" * 188, "a.*", "#", "x.celery_lock.y"])
def test_a_queue_that_no_key_leads_to_alone_has_its_messages_wait_in_a_worker(queue: str) -> None:
    assert AMQP.pause_in(queue, QUORUM).write is as_eta


def test_the_longest_name_that_fits_is_carried() -> None:
    assert AMQP.pause_in("a" * 187, QUORUM).write is not as_eta
    assert len(delayed_key("a" * 187, 900)) == 255


def test_what_would_come_back_to_a_queue_that_is_gone_waits_in_a_worker() -> None:
    assert AMQP.pause_in("fast", {**QUORUM, "x-expires": 60_000}).write is as_eta


def test_the_key_of_a_queue_begins_with_anything() -> None:
    assert binding_key("fast") == "#.celery_lock.fast"


@pytest.mark.parametrize(
    ("exchange", "key"),
    [("", "fast"), ("celery_delayed_delivery", "0.1.fast"), ("work", "a.celery_lock.fast")],
)
def test_what_somebody_else_sent_is_no_delayed_message_of_ours(exchange: str, key: str) -> None:
    assert delayed_for(exchange, key) is None
