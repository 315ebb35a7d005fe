"""A delivery that Celery gives to the next process, since the one before died unheard of."""

from __future__ import annotations

import os
from typing import Any

import pytest
from celery import Celery

from celery_lock import Lock, requeue
from celery_lock.events import Released
from celery_lock.message import Given
from celery_lock.model import Claim, Holder, Lease

from .engine import Engine, arrived, deliver, locked


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    child = os.fork()
    if child == 0:  # pragma: no cover - runs in the child
        os._exit(0)
    os.waitpid(child, 0)
    return child


def body() -> str:
    return "ran"


def given(nonce: str) -> Given:
    return Given({"delivery_tag": "tag-1"}, arrived()._replace(nonce=nonce))


def hold(engine: Engine, pid: int, nonce: str = "Ab3_-91f", node: str = "w1@host") -> str:
    holder = str(Holder("id-1", node, pid, f"{nonce}.1"))
    claim = Claim("k", holder, 30.0, publication="tag-1")
    assert isinstance(engine.store.inner.acquire(claim), Lease)
    return holder


def test_the_key_of_the_run_before_is_freed_and_taken(
    app: Celery, engine: Engine, dead: int
) -> None:
    task = locked(app, Lock("k", on_conflict=requeue()), name="t")(body)
    before = hold(engine, dead)

    ended = deliver(task, properties=given("Ab3_-91f"))

    assert ended == ("SUCCESS", "ran")
    assert next(fact.holder for fact in engine.told(Released)) == before
    assert engine.sent == []


@pytest.mark.parametrize(
    "other",
    [
        {"nonce": "Zz_9091f"},
        {"pid": os.getppid()},
        {"node": "w2@host", "nonce": "Zz_9091f"},
    ],
    ids=["another delivery", "alive", "another node"],
)
def test_a_copy_of_the_message_waits_its_turn_as_ever(
    app: Celery, engine: Engine, dead: int, other: dict[str, Any]
) -> None:
    task = locked(app, Lock("k", on_conflict=requeue()), name="t")(body)
    before = hold(engine, **{"pid": dead, **other})

    assert deliver(task, properties=given("Ab3_-91f")).state == "IGNORED"

    held = engine.store.inner.peek("k")
    assert held is not None
    assert held.holder == before
