"""The raw message: what goes to the pool child, and the queue that a message came from."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context

from celery_lock import LockError
from celery_lock.message import parts, raw_of, take
from celery_lock.message.origin import Origin
from celery_lock.message.raw import attach


def a_message(**changes: Any) -> Any:
    values = {
        "body": b"[[7], {}, {}]",
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {"id": "id-1", "task": "charge", "x-tenant": "a"},
        "properties": {"correlation_id": "id-1", "priority": 3, "delivery_tag": "tag-1"},
        "delivery_info": {"exchange": "", "routing_key": "fast"},
    }
    return SimpleNamespace(**{**values, **changes})


# -- attaching and reading -------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _nobody_has_been_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_taken", {})  # by ids, which are given again


def running(message: Any, queue: str | None = "fast") -> Context:
    about: dict[str, Any] = {"id": "id-1"}
    attach(message, about, Origin(queue, b"entity", 1), nonce="n1", came=7.5, epoch=2)
    request = Context(about)
    take(request)
    return request


def test_a_running_task_finds_the_message_as_the_broker_delivered_it() -> None:
    message = a_message()

    raw = raw_of(running(message))

    assert (raw.body, raw.content_type, raw.content_encoding) == (
        message.body,
        "application/json",
        "utf-8",
    )
    assert (raw.queue, raw.entity, raw.broker) == ("fast", b"entity", 1)
    assert raw.headers == message.headers
    assert raw.properties == message.properties


def test_the_message_itself_is_not_changed() -> None:
    message = a_message()
    before = copy.deepcopy(vars(message))

    running(message)

    assert vars(message) == before


@pytest.mark.parametrize("missing", [None, {}])
def test_a_message_may_have_no_headers_and_no_properties(missing: Any) -> None:
    raw = raw_of(running(a_message(headers=missing, properties=missing), None))

    assert (dict(raw.headers), dict(raw.properties), raw.queue) == ({}, {}, None)


@pytest.mark.parametrize("properties", [None, {}, {"delivery_tag": "tag-1"}])
def test_a_request_that_is_not_ours_says_what_to_do(properties: Any) -> None:
    request = Context({"id": "id-1", "properties": properties})
    take(request)

    with pytest.raises(LockError, match=r"raw message of task id-1 is not known.*use skip\(\)"):
        raw_of(request)


def test_a_message_that_waited_in_the_broker_looks_as_it_did_when_it_was_sent() -> None:
    """A body's own retry goes by what it sees: a history of expiries would have it dropped."""
    key = "0.1.celery_lock.fast"
    message = a_message(delivery_info={"exchange": "celery_delayed_delivery", "routing_key": key})
    request: dict[str, Any] = {
        "id": "id-1",
        "x-death": [{"reason": "expired"}],
        "x-first-death-queue": "celery_delayed_0",
        "delivery_info": {**message.delivery_info, "priority": 3},
    }
    attach(message, request, Origin("fast"), nonce="n1", came=7.5, epoch=2)

    assert set(request) == {"id", "delivery_info", "properties"}
    assert request["delivery_info"] == {"exchange": "", "routing_key": "fast", "priority": 3}
