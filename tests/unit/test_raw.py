"""The raw message: what goes to the pool child, and the queue that a message came from."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context

from celery_lock import LockError
from celery_lock.message import RAW, raw_of
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


def test_a_pool_child_finds_the_message_as_the_broker_delivered_it() -> None:
    message = a_message()
    request: dict[str, Any] = {"id": "id-1", "properties": message.properties}
    attach(message, request, Origin("fast"))

    raw = raw_of(Context(request))

    assert (raw.body, raw.content_type, raw.content_encoding, raw.queue) == (
        message.body,
        "application/json",
        "utf-8",
        "fast",
    )
    assert raw.headers == message.headers
    assert raw.properties == message.properties


def test_the_message_itself_is_not_changed() -> None:
    message = a_message()
    before = copy.deepcopy(vars(message))

    attach(message, {}, Origin("fast"))

    assert vars(message) == before


def test_it_costs_no_second_body_in_the_pipe() -> None:
    message = a_message(body=b"x" * 100_000)
    request: dict[str, Any] = {"id": "id-1"}
    attach(message, request, Origin("fast"))

    through_the_pipe = pickle.dumps((request, message.body, message.headers))

    assert len(through_the_pipe) < 101_000


@pytest.mark.parametrize("missing", [None, {}])
def test_a_message_may_have_no_headers_and_no_properties(missing: Any) -> None:
    message = a_message(headers=missing, properties=missing)
    request: dict[str, Any] = {}
    attach(message, request, Origin(None))

    raw = raw_of(Context(request))

    assert (dict(raw.headers), dict(raw.properties), raw.queue) == ({}, {}, None)


@pytest.mark.parametrize("properties", [None, {}, {"delivery_tag": "tag-1"}, {RAW: None}])
def test_a_request_that_is_not_ours_says_what_to_do(properties: Any) -> None:
    with pytest.raises(LockError, match=r"raw message of task id-1 is not known.*use skip\(\)"):
        raw_of(Context({"id": "id-1", "properties": properties}))
