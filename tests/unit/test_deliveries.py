"""Deliveries add up over all messages that were made of one, and end where a plain one ends."""

from __future__ import annotations

import logging
import pickle
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context
from kombu import Queue

from celery_lock import Lock
from celery_lock.app.locks import locks_of
from celery_lock.message import HEADER, Given, deliveries, take
from celery_lock.message.deliveries import UNSEEN, complain, deliveries_of
from celery_lock.message.header import Header
from celery_lock.message.origin import Origin
from celery_lock.message.raw import attach
from celery_lock.message.rejections import note_rejection
from celery_lock.message.transports import AMQP, REDIS, SQS, Transport

from .engine import Engine, arrived, deliver, locked

DEAD_LETTERS = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
LIMITED = {"x-queue-type": "quorum", "x-delivery-limit": 2, **DEAD_LETTERS}


def request(redelivered: bool = False, **headers: Any) -> Context:
    return Context({"delivery_info": {"redelivered": redelivered}, **headers})


# -- counting --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "made", "count"),
    [
        (AMQP, request(), 0),
        (AMQP, request(redelivered=True), 1),
        (AMQP, request(redelivered=True, **{"x-delivery-count": 3}), 3),
        (REDIS, request(), 0),
        (REDIS, request(redelivered=True), 1),
        (SQS, request(), 0),
    ],
)
def test_a_broker_counts_in_its_own_way(row: Transport, made: Context, count: int) -> None:
    assert row.delivered(made) == count


def test_what_was_counted_before_it_was_sent_again_is_added() -> None:
    assert deliveries_of(request(), Header(deliveries=2), 1) == 3


@pytest.mark.parametrize(
    ("deaths", "count"),
    [
        ([], 3),
        ([{"reason": "expired"}], 3),
        ([{"reason": "delivery_limit"}], 1),
        ([{"reason": "expired"}, {"reason": "rejected"}], 1),
        (None, 3),
    ],
)
def test_what_came_out_of_a_dead_letter_queue_begins_anew(deaths: Any, count: int) -> None:
    assert deliveries_of(request(**{"x-death": deaths}), Header(deliveries=2), 1) == count


def test_what_we_gave_back_ourselves_is_no_delivery() -> None:
    """It says nothing of the body. What was made of the message later is another message."""
    ours = {HEADER: {"v": 1, "turns": 1}, "id": "id-1"}
    headers = {**ours, "x-delivery-count": 3}
    message = SimpleNamespace(
        body=b"[]",
        content_type="application/json",
        content_encoding="utf-8",
        headers=headers,
        properties={},
        delivery_info={},
    )

    def counted(**changes: Any) -> int:
        message.headers, about = {**headers, **changes}, dict(headers)
        attach(message, about, Origin("fast"), nonce="n", came=0.0, epoch=0)
        made = Context(about)
        take(made)
        return deliveries_of(made, Header(deliveries=1), 3)

    note_rejection(ours, "fast")
    note_rejection(ours, "fast")
    note_rejection(ours, "slow")

    assert counted() == 2
    assert counted(id="id-2") == 4
    assert counted(**{HEADER: {"v": 1, "turns": 2}}) == 4


# -- the limit -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        (LIMITED, 2),
        ({**LIMITED, "x-delivery-limit": 0}, 0),
        ({**LIMITED, "x-delivery-limit": -1}, None),
        ({**LIMITED, "x-dead-letter-exchange": None}, None),
        ({"x-delivery-limit": 2}, None),
        (DEAD_LETTERS, None),
        ({}, None),
    ],
)
def test_a_limit_counts_with_a_place_for_what_is_above_it(arguments: Any, limit: Any) -> None:
    assert AMQP.limit(arguments) == limit
    assert REDIS.limit(arguments) is None


def test_a_limit_that_cannot_be_seen_is_complained_of_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(deliveries._complaints, "next_at", 0.0)
    with caplog.at_level(logging.ERROR, "celery_lock"):
        complain("charge", "id-1", UNSEEN, clock=lambda: 100.0)
        for at in (100.0, 100.0, 159.0, 161.0):
            complain("charge", "id-1", UNSEEN + 1, clock=lambda at=at: at)  # type: ignore[misc]

    assert len(caplog.records) == 2
    assert "charge[id-1] was delivered 21 times" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "count", "last"),
    [
        (LIMITED, 1, False),
        (LIMITED, 2, True),
        ({"x-delivery-limit": 2}, 2, True),
        ({"x-delivery-limit": 0}, 0, True),
        ({"x-delivery-limit": -1}, 9, False),
        (DEAD_LETTERS, 9, False),
    ],
)
def test_what_goes_back_at_the_limit_of_its_queue_does_not_come_again(
    arguments: Any, count: int, last: bool
) -> None:
    """With a dead-letter queue or without: there it is dropped."""
    entity = pickle.dumps(Queue("work", queue_arguments=arguments))
    properties = Given({}, arrived()._replace(entity=entity))
    about = {"x-delivery-count": count, "properties": properties, "delivery_info": {}}

    assert AMQP.is_last(Context(about)) is last


@pytest.mark.parametrize(
    ("facts", "received", "last"),
    [
        ((30.0, 2), 1, False),
        ((30.0, 2), 2, True),
        ((30.0, 1), 1, True),
        ((30.0, 0), 9, False),
        (None, 9, False),
    ],
)
def test_what_sqs_has_handed_out_as_often_as_it_does_is_the_last(
    facts: Any, received: int, last: bool
) -> None:
    attributes = {"ApproximateReceiveCount": str(received)}
    properties = {"delivery_info": {"sqs_message": {"Attributes": attributes}}}

    assert SQS.for_queue(facts).is_last(Context({"properties": properties})) is last


def test_what_is_known_of_no_queue_comes_again() -> None:
    assert not AMQP.is_last(request(**{"x-delivery-count": 9}))


# -- what becomes of it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sum_", "acks_late", "limited", "state"),
    [
        (2, True, True, "SUCCESS"),
        (3, True, True, "REJECTED"),
        (3, False, True, "SUCCESS"),
        (3, True, False, "SUCCESS"),
    ],
)
def test_a_message_above_its_limit_goes_where_a_plain_one_would(
    sum_: int, acks_late: bool, limited: bool, state: str
) -> None:
    app, ran = Engine().app(), []
    row = replace(AMQP, limit=lambda arguments: 2 if limited else None)
    locks_of(app).__dict__["transport"] = row

    def body() -> None:
        ran.append(1)

    task = locked(app, Lock("k"), name="charge", acks_late=acks_late)(body)
    ours = {"v": 1, "id": "id-1", "key": "k", "retries": 0, "nesting": 0, "deliveries": sum_ - 1}

    ended = deliver(task, headers={HEADER: ours, "x-delivery-count": 1})

    assert ended.state == state
    assert len(ran) == (state == "SUCCESS")
    assert state == "SUCCESS" or not ended.result.requeue
