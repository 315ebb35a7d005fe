"""Who waits for a key that is kept for a retry on its way keeps out nobody, the retry least."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from celery_lock import Lock, Scope, fail, wait
from celery_lock.errors import LockWaitTimeout
from celery_lock.events import Conflicted
from celery_lock.message import HEADER
from celery_lock.model import Claim, End, Holder, Lease

from .engine import Engine, deliver, locked

WAITS = wait(10)


def task_of(app: Celery, policy: Any = WAITS) -> Any:
    def body(self: Any) -> str:
        return "ran"

    lock = Lock("k", scope=Scope.ACROSS_RETRIES, on_conflict=policy)
    return locked(app, lock, name="t", bind=True)(body)


def works(engine: Engine) -> Lease:
    """Somebody's body has the key."""
    return engine.hold(task_id="first", ttl=60.0)


def retries(engine: Engine, lease: Lease) -> None:
    """That body ends, and its retry is on its way."""
    end = End(heir=str(Holder.for_retry("first", 1)), heir_ttl=3600.0)
    assert engine.store.inner.release(lease, end)


def sent_again(engine: Engine) -> dict[str, Any]:
    return {HEADER: engine.sent[-1].header}


def test_a_waiter_goes_outside_of_the_pool_while_the_key_is_kept(
    app: Celery, engine: Engine
) -> None:
    task = task_of(app)
    retries(engine, works(engine))

    ended = deliver(task)

    assert ended.state == "IGNORED"
    assert engine.clock() == 1000
    assert engine.sent[-1].delay == 1.0
    assert [fact.decision.word for fact in engine.told(Conflicted)] == ["requeue"]


def test_a_waiter_leaves_the_pool_as_soon_as_the_key_is_left_to_a_retry(
    app: Celery, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(app)
    lease = works(engine)
    watch, looks = engine.store.watch, iter(range(100))

    def and_retries(key: str, timeout: float) -> Any:
        if next(looks) == 2:
            retries(engine, lease)
        return watch(key, timeout)

    monkeypatch.setattr(engine.store, "watch", and_retries)
    assert deliver(task).state == "IGNORED"

    assert engine.clock() < 1005
    assert engine.sent[-1].delay == 1.0


def test_each_try_comes_after_the_same_pause_and_counts_for_no_bound(
    app: Celery, engine: Engine
) -> None:
    asked: list[int] = []

    def policy(conflict: Any) -> Any:
        asked.append(conflict.attempt)
        return wait(10) if conflict.waited < 5 else fail()

    task = task_of(app, policy)
    retries(engine, works(engine))

    headers: dict[str, Any] = {}
    for _ in range(20):
        assert deliver(task, headers=headers).state == "IGNORED"
        headers = sent_again(engine)
        engine.move(1)

    assert {again.delay for again in engine.sent} == {1.0}
    assert set(asked) == {1}
    assert "first_conflict" not in headers[HEADER]


def test_a_wait_begins_anew_when_the_retry_works(app: Celery, engine: Engine) -> None:
    task = task_of(app)
    retries(engine, works(engine))
    deliver(task)
    retry = engine.store.inner.acquire(
        Claim("k", "first#w#1#n.1", 60.0, heir_of=str(Holder.for_retry("first", 1)))
    )
    assert isinstance(retry, Lease)

    began = engine.clock()
    ended = deliver(task, headers=sent_again(engine))

    assert type(ended.result) is LockWaitTimeout
    assert engine.clock() - began == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("policy", [WAITS, lambda c: wait(10)], ids=["a value", "a function"])
def test_what_was_waited_before_the_key_was_kept_counts(
    app: Celery, engine: Engine, monkeypatch: pytest.MonkeyPatch, policy: Any
) -> None:
    """Else a holder that retries for ever lets nobody's wait come to its end."""
    task, tries, headers = task_of(app, policy), 0, {}
    watch, ended = engine.store.watch, None

    while ended is None or ended.state == "IGNORED":
        tries += 1
        lease = engine.store.inner.acquire(
            Claim("k", "first#w#1#n.1", 60.0, heir_of=str(Holder.for_retry("first", 1)))
        )
        assert isinstance(lease, Lease)
        stop = engine.clock() + 4

        def and_retries(key: str, timeout: float, lease: Lease = lease, stop: float = stop) -> Any:
            if engine.clock() >= stop:
                retries(engine, lease)
            return watch(key, timeout)

        monkeypatch.setattr(engine.store, "watch", and_retries)
        ended = deliver(task, headers=headers)
        headers = sent_again(engine)
        assert tries < 10

    assert type(ended.result) is LockWaitTimeout
    assert tries == 3


def test_the_retry_itself_takes_what_was_kept_for_it(app: Celery, engine: Engine) -> None:
    task = task_of(app)
    retries(engine, works(engine))

    assert deliver(task, id="first", tag="tag-2", retries=1).result == "ran"


def test_a_message_that_has_no_queue_to_go_back_to_waits_where_it_is(
    app: Celery, engine: Engine
) -> None:
    """A broadcast, or a request that is not of our class: sending it would end it."""
    task = task_of(app, wait(2))
    retries(engine, works(engine))

    ended = deliver(task, raw=False)

    assert type(ended.result) is LockWaitTimeout
    assert engine.sent == []


def test_an_eager_call_waits_where_it_is(app: Celery, engine: Engine) -> None:
    task = task_of(app, wait(2))
    retries(engine, works(engine))

    assert type(task.apply().result) is LockWaitTimeout
    assert engine.sent == []
