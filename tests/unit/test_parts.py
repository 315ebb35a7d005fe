"""What the main process gives to the pool process: no body sees it, nobody's properties change."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context

from celery_lock.message import Given, Parts, give, leave, parts_of, take

PROPERTIES = {"correlation_id": "id-1", "priority": 3, "delivery_info": {"exchange": ""}}


def parts(body: bytes = b"[]", **said: Any) -> Parts:
    return Parts(body, "application/json", "utf-8", {"id": "id-1"}, "fast", **said)


def request_dict(**said: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"id": "id-1"}
    give(about, dict(PROPERTIES), parts(**said))
    return about


def through_a_pipe(about: dict[str, Any]) -> dict[str, Any]:
    there: dict[str, Any] = pickle.loads(pickle.dumps(about))
    return there


def in_this_process(about: dict[str, Any]) -> dict[str, Any]:
    return about


EACH_POOL = pytest.mark.parametrize(
    "reach", [through_a_pipe, in_this_process], ids=["prefork", "threads"]
)


@EACH_POOL
def test_a_run_has_the_parts_until_it_ends(reach: Callable[..., dict[str, Any]]) -> None:
    request = Context(reach(request_dict(nonce="n1", came=7.5, epoch=2)))

    take(request)
    assert parts_of(request) == parts(nonce="n1", came=7.5, epoch=2)
    leave(request)
    assert parts_of(request) is None


def test_what_was_left_of_a_request_that_is_gone_is_no_others() -> None:
    request = Context(request_dict(nonce="own"))
    sys.modules[Parts.__module__]._taken[id(request)] = parts(nonce="another's")

    found = parts_of(request)

    leave(request)
    assert found is not None
    assert found.nonce == "own"


@EACH_POOL
def test_the_body_sees_what_a_plain_task_sees(reach: Callable[..., dict[str, Any]]) -> None:
    request = Context(reach(request_dict()))

    take(request)
    try:
        assert type(request.properties) is dict
        assert request.properties == PROPERTIES
        assert vars(request) == vars(Context({"id": "id-1", "properties": PROPERTIES}))
    finally:
        leave(request)


@pytest.mark.parametrize(
    "look",
    [repr, dict, json.dumps, copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))],
    ids=["repr", "dict", "json", "copy", "deepcopy", "pickle"],
)
def test_whoever_looks_before_the_body_sees_that_too(look: Callable[[Any], Any]) -> None:
    """A receiver of `task_prerun` in a pool of threads, or one in the main process."""
    given = request_dict()["properties"]

    assert isinstance(given, Given)
    seen = look(given)
    assert seen == look(dict(PROPERTIES))
    assert type(seen) is not Given


def test_the_message_itself_is_not_changed() -> None:
    """Its transport may yet write it back."""
    message = SimpleNamespace(properties=copy.deepcopy(PROPERTIES))
    about: dict[str, Any] = {}
    give(about, message.properties, parts())
    request = Context(about)

    take(request)
    request.properties["more"] = 1
    leave(request)

    assert message.properties == PROPERTIES


def test_it_costs_no_second_body_in_the_pipe() -> None:
    body = b"x" * 100_000

    assert len(pickle.dumps((request_dict(body=body), body))) < 101_000


def test_another_message_of_the_process_has_no_part_of_the_one_before() -> None:
    """An eager call in the body of a task, say, or one whose request is not of our class."""
    through_a_pipe(request_dict())
    request = Context({"id": "id-2", "properties": dict(PROPERTIES)})

    take(request)

    assert parts_of(request) is None
