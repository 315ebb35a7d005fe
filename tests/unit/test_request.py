"""The main process frees the key of a child that died, and of a retry that will not run."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.app.task import Context
from celery.concurrency import prefork, solo

from celery_lock import Lock, Scope
from celery_lock.app.worker import WorkerStep
from celery_lock.engine import locker
from celery_lock.events import Released
from celery_lock.message import HEADER
from celery_lock.model import Claim, Held, Holder
from celery_lock.task import request as module
from celery_lock.task.request import LockedRequestMixin

from .engine import Engine, locked

CHILD = 4711
DEATHS = [WorkerLostError("gone"), Terminated(9), TimeLimitExceeded(2), SystemExit(1)]


class Base:
    """Celery's request, as far as ours asks it."""

    is_revoked = False

    def __init__(self) -> None:
        self.done: list[str] = []

    def on_failure(self, exc_info: Any, send_failed_event: bool = True) -> str:
        self.done.append("Celery")
        return "as Celery says"

    def revoked(self) -> bool:
        return self.is_revoked


class Request(LockedRequestMixin, Base):
    """A request in the main process, whose child holds the key."""

    def __init__(self, task: Any, **said: Any) -> None:
        Base.__init__(self)
        self.task, self.app = task, task.app
        self.id, self.hostname, self.worker_pid = "id-1", "w1@host", CHILD
        self.args, self.kwargs = [7], {}
        self._context = Context(**said)


def failed(error: BaseException) -> Any:
    return SimpleNamespace(exception=error)


@pytest.fixture(autouse=True)
def the_child_is_gone(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether it is, and nobody waits for the pending calls, which have no thread here."""
    gone = {"gone": True}
    monkeypatch.setattr(module, "_is_gone", lambda pid: pid == CHILD and gone["gone"])
    monkeypatch.setattr(locker, "PATIENCE", 0)
    return gone


@pytest.fixture
def engine() -> Engine:
    return Engine()


def a_request(
    engine: Engine, lock: Lock | None = None, pool: type = prefork.TaskPool, **said: Any
) -> Request:
    app = engine.app()
    WorkerStep(SimpleNamespace(app=app, pool_cls=pool))
    return Request(locked(app, lock or Lock("k:{user_id}"), name="t")(body), **said)


def body(user_id: int) -> None:
    """Do nothing."""


def hold(engine: Engine, holder: str, key: str = "k:7") -> None:
    assert not isinstance(engine.store.acquire(Claim(key, holder, 30.0)), Held)


def holder_of(engine: Engine, key: str = "k:7") -> str | None:
    held = engine.store.peek(key)
    return None if held is None else held.holder


THE_CHILDS = str(Holder("id-1", "w1@host", CHILD, "nonce"))


@pytest.mark.parametrize("error", DEATHS, ids=repr)
def test_the_key_of_a_dead_child_is_freed_and_told(engine: Engine, error: BaseException) -> None:
    hold(engine, THE_CHILDS)
    request = a_request(engine)

    assert request.on_failure(failed(error)) == "as Celery says"
    engine.pending.make_due()

    assert holder_of(engine) is None
    (told,) = engine.told(Released)
    assert (told.key, told.holder, told.in_time) == ("k:7", THE_CHILDS, True)


def test_a_dead_child_of_somebody_elses_task_frees_nothing(engine: Engine) -> None:
    other = str(Holder("id-1", "w1@host", CHILD + 1, "nonce"))
    hold(engine, other)

    a_request(engine).on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    assert holder_of(engine) == other
    assert engine.told(Released) == []


def test_a_task_that_failed_by_itself_has_freed_its_key_itself(engine: Engine) -> None:
    a_request(engine).on_failure(failed(ValueError()))
    engine.pending.make_due()

    assert engine.store.calls == []


def test_a_child_that_is_still_alive_keeps_its_key_until_it_is_gone(
    engine: Engine, the_child_is_gone: dict[str, bool]
) -> None:
    the_child_is_gone["gone"] = False
    hold(engine, THE_CHILDS)
    a_request(engine).on_failure(failed(TimeLimitExceeded(2)))
    engine.move(1.2)
    assert holder_of(engine) == THE_CHILDS

    the_child_is_gone["gone"] = True
    engine.move(0.1)

    assert holder_of(engine) is None


def test_in_a_pool_without_children_nobody_died(engine: Engine) -> None:
    """With gevent the number that Celery calls a pid is a greenlet's."""
    request = a_request(engine, pool=solo.TaskPool)
    hold(engine, str(Holder("id-1", "w1@host", os.getpid(), "nonce")))

    request.on_failure(failed(TimeLimitExceeded(2)))
    engine.pending.make_due()

    assert engine.store.calls == ["acquire"]


def test_a_child_that_died_before_it_was_told_of_has_no_key(engine: Engine) -> None:
    request = a_request(engine)
    request.worker_pid = None  # type: ignore[assignment]  # Celery's own name for "not yet"

    request.on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    assert engine.store.calls == []


def test_the_key_is_the_one_that_the_message_names(engine: Engine) -> None:
    hold(engine, THE_CHILDS, "named")
    request = a_request(engine, headers={HEADER: {"v": 1, "key": "named"}})

    request.on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    assert holder_of(engine, "named") is None


def test_a_store_without_an_answer_is_asked_again(engine: Engine) -> None:
    hold(engine, THE_CHILDS)
    engine.store.refuse("free")
    a_request(engine).on_failure(failed(WorkerLostError()))
    engine.move(2)
    assert holder_of(engine) == THE_CHILDS
    assert engine.pending.unanswered

    engine.settle()

    assert holder_of(engine) is None
    assert not engine.pending.unanswered


def test_a_key_that_cannot_be_known_changes_nothing_for_celery(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    request = a_request(engine)
    request.args = []

    assert request.on_failure(failed(WorkerLostError())) == "as Celery says"

    assert "it is free when its lease has run out" in caplog.text


def test_a_retry_that_is_revoked_frees_the_key_that_was_kept_for_it(engine: Engine) -> None:
    hold(engine, str(Holder.for_retry("id-1", 2)))
    request = a_request(engine, Lock("k:{user_id}", scope=Scope.ACROSS_RETRIES), retries=2)
    assert request.revoked() is False
    engine.pending.make_due()
    assert holder_of(engine) == str(Holder.for_retry("id-1", 2))

    request.is_revoked = True
    assert request.revoked() is True
    engine.pending.make_due()

    assert holder_of(engine) is None


def test_a_first_run_that_is_revoked_frees_nothing(engine: Engine) -> None:
    hold(engine, THE_CHILDS)
    request = a_request(engine, Lock("k:{user_id}", scope=Scope.ACROSS_RETRIES))
    request.is_revoked = True

    request.revoked()
    engine.pending.make_due()

    assert holder_of(engine) == THE_CHILDS
