"""The lease in a thread or a process of the body: what is said, and how it is handed over."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery import Celery

from celery_lock import Lock, LockedTask, LockError, current_lease

from .engine import Engine, deliver, locked
from .forking import holds_in_a_child

PATIENCE = 10.0
ELSEWHERE = "the body of task t runs in another thread"
FORKED = "this process was forked from the one that runs the body of task t"


def said_by(ask: Callable[[], Any]) -> str:
    """What an error says; nothing if there is none."""
    try:
        ask()
    except LockError as error:
        return str(error)
    return ""


def in_a_thread(ask: Callable[[], Any]) -> Any:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    thread.join(PATIENCE)
    return answers[0]


def in_a_pool(ask: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, ask).result(PATIENCE)


def by_asyncio(ask: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.to_thread(ask))


LOCK = Lock("k")
THREADS = [in_a_thread, in_a_pool, by_asyncio]


def run(app: Celery, body: Callable[[Any], Any], lock: Any = LOCK) -> Any:
    ended = deliver(locked(app, lock, name="t", bind=True)(body))
    assert ended.state == "SUCCESS", ended.result
    return ended.result


# -- threads ---------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", THREADS)
def test_a_thread_of_the_body_is_told_how_the_lease_is_handed_over(
    app: Celery, elsewhere: Any
) -> None:
    def body(self: Any) -> list[str]:
        return [
            elsewhere(lambda: said_by(lambda: self.lease)),
            elsewhere(lambda: said_by(current_lease)),
        ]

    for said in run(app, body):
        assert ELSEWHERE in said
        assert "lease = self.lease" in said


@pytest.mark.parametrize("elsewhere", THREADS)
def test_a_lease_that_was_handed_over_may_be_used_in_any_thread(
    app: Celery, engine: Engine, elsewhere: Any
) -> None:
    def body(self: Any) -> tuple[Any, ...]:
        lease = self.lease
        held = elsewhere(
            lambda: (lease.lost, lease.remaining() > 0, lease.check(), lease.token > 0)
        )
        engine.clock.move(60)
        return (*held, elsewhere(lambda: lease.lost))

    assert run(app, body) == (False, True, None, True, True)


def test_in_a_coroutine_of_the_bodys_own_thread_the_lease_is_there(app: Celery) -> None:
    async def work(self: Any) -> bool:
        await asyncio.sleep(0)
        return bool(self.lease is current_lease())

    def body(self: Any) -> bool:
        return asyncio.run(work(self))

    assert run(app, body)


def test_in_a_thread_of_a_task_without_a_lock_nobody_speaks_of_another_thread(app: Celery) -> None:
    def body(self: Any) -> str:
        return str(in_a_thread(lambda: said_by(lambda: self.lease)))

    assert "no body of task t runs with a lock" in run(app, body, lock=None)


def test_a_direct_call_beside_a_body_of_the_same_task_is_said_to_be_one(app: Celery) -> None:
    said: list[str] = []

    def body(self: Any) -> None:
        if self.request.called_directly:
            said.append(said_by(lambda: self.lease))
        else:
            in_a_thread(self)

    run(app, body)

    assert "was called directly" in said[0]


def test_after_the_body_nobody_speaks_of_it(app: Celery) -> None:
    run(app, nothing)

    assert "no task is running" in said_by(current_lease)


def test_what_runs_around_the_body_is_told_that_only_the_body_has_the_lease(app: Celery) -> None:
    said: dict[str, str] = {}

    class Told(LockedTask[..., Any]):
        abstract = True

        def before_start(self, *_: Any) -> None:
            said["before"] = said_by(lambda: self.lease)

        def on_success(self, *_: Any) -> None:
            said["after"] = said_by(current_lease)

    deliver(locked(app, LOCK, name="t", base=Told, bind=True)(nothing))

    for each in (said["before"], said["after"]):
        assert "task t has its lease while its body runs" in each


def nothing(self: Any) -> None:
    """Do nothing."""


# -- processes -------------------------------------------------------------------------------

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")


@forks
def test_a_plain_task_is_told_to_name_the_base(app: Celery) -> None:
    @app.task(name="plain", shared=False)
    def plain() -> str:
        return said_by(current_lease)

    said = plain.apply().get()

    assert "task plain was called directly, or has no lock" in said


def test_a_process_that_the_body_forked_is_told_whose_the_lease_is(app: Celery) -> None:
    def body(self: Any) -> bool:
        return holds_in_a_child(
            lambda: (
                FORKED in said_by(lambda: self.lease)
                and FORKED in said_by(current_lease)
                and FORKED in in_a_thread(lambda: said_by(lambda: self.lease))
                and "lease.token" in said_by(current_lease)
            )
        )

    assert run(app, body)


@forks
def test_a_lease_that_a_fork_copied_does_not_say_that_it_is_held(app: Celery) -> None:
    def body(self: Any) -> bool:
        lease = self.lease
        asks = (lambda: lease.lost, lease.check, lease.remaining)
        in_child = holds_in_a_child(
            lambda: (
                all("was forked from it" in said_by(ask) for ask in asks)
                and lease.token > 0
                and lease.key == "k"
                and bool(repr(lease))
            )
        )
        return in_child and not lease.lost

    assert run(app, body)


@forks
def test_a_locked_task_that_a_forked_process_runs_has_its_own_lease(
    app: Celery, engine: Engine
) -> None:
    inner = locked(app, Lock("inner"), name="inner", bind=True)(lease_key)

    def body(self: Any) -> bool:
        return holds_in_a_child(lambda: inner.apply().get() == "inner")

    assert run(app, body)


def lease_key(self: Any) -> str:
    self.lease.check()
    return str(self.lease.key)


@pytest.mark.parametrize("send", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_lease_is_not_sent_to_another_process(app: Celery, send: Callable[[Any], Any]) -> None:
    def body(self: Any) -> str:
        return said_by(lambda: send(self.lease))

    assert "Send lease.key and lease.token" in run(app, body)
