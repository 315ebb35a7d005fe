"""Which queue a message was taken from, where an exchange leads into several of one worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kombu
import pytest
from kombu import Exchange, Queue

from celery_lock.message.hearing import hear_queues, heard_from
from celery_lock.message.origin import origin_of

TOPIC = Exchange("hearing-topic", type="topic")
FANOUT = Exchange("hearing-fanout", type="fanout")
RAIN = Queue("hearing-rain", TOPIC, routing_key="news.rain")
ALL = Queue("hearing-weather", TOPIC, routing_key="news.#")
HEARD = Queue("hearing-heard", FANOUT)
QUEUES = {queue.name: queue for queue in (RAIN, ALL, HEARD)}


@pytest.fixture
def consumer() -> Iterator[Any]:
    with kombu.Connection("memory://") as connection:
        yield connection.Consumer(list(QUEUES.values()), accept=["json"])


def taken_from(consumer: Any, exchange: Exchange, routing_key: str) -> list[str | None]:
    """The queues of the messages that one message becomes, as its worker names them."""
    found: list[str | None] = []

    def look(body: Any, message: Any) -> None:
        found.append(origin_of(message, lambda: consumer, lambda: QUEUES).queue)
        message.ack()

    consumer.callbacks = [look]
    consumer.connection.Producer().publish(
        {}, exchange=exchange, routing_key=routing_key, declare=list(QUEUES.values())
    )
    with consumer:
        while True:
            try:
                consumer.connection.drain_events(timeout=0.05)
            except TimeoutError:
                return found


def test_a_message_of_a_topic_is_known_by_its_queue(consumer: Any) -> None:
    hear_queues(consumer)

    assert sorted(map(str, taken_from(consumer, TOPIC, "news.rain"))) == [RAIN.name, ALL.name]
    assert taken_from(consumer, TOPIC, "news.sun") == [ALL.name]


def test_a_message_of_a_broadcast_has_no_queue_to_go_back_to(consumer: Any) -> None:
    hear_queues(consumer)

    assert taken_from(consumer, FANOUT, "") == [None]


def test_without_being_heard_two_queues_cannot_be_told_apart(consumer: Any) -> None:
    assert taken_from(consumer, TOPIC, "news.rain") == [None, None]


def test_a_transport_is_heard_once_however_often_it_is_asked(consumer: Any) -> None:
    hear_queues(consumer)
    once = consumer.channel.connection._deliver

    hear_queues(consumer)

    assert consumer.channel.connection._deliver is once


@pytest.mark.parametrize("of", [None, object()])
def test_what_has_no_such_transport_is_left_alone(of: Any) -> None:
    hear_queues(of)

    assert heard_from(of) is None
