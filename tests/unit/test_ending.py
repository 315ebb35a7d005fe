"""What a release does besides: it leaves the key to the next try."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery.exceptions import Ignore, Retry

from celery_lock import Lock, LockConfigurationError, Scope
from celery_lock.app.locks import locks_of
from celery_lock.events import Acquired, Conflicted, Released
from celery_lock.message import HEADER
from celery_lock.message.transports import REDIS

from .engine import Ended, Engine, deliver, locked

LATE = {"acks_late": True}
VISIBILITY = 3600.0


class Task:
    """A task, how often its body ran, and what the body does."""

    def __init__(self, lock: Lock | None = None, **options: Any) -> None:
        self.engine = Engine()
        self.runs = 0
        self.during: Callable[[Any], Any] = lambda task: "done"

        def body(task: Any, user_id: int = 7) -> Any:
            self.runs += 1
            return self.during(task)

        app = self.engine.app()
        self.task = locked(app, lock or Lock("k"), name="t", bind=True, **options)(body)
        locks_of(app).transport = REDIS

    def deliver(self, **request: Any) -> Ended:
        try:
            return deliver(self.task, **request)
        finally:
            self.engine.locker.completions.send_now()

    def raises(self, error: BaseException) -> None:
        def during(task: Any) -> None:
            raise error

        self.during = during


# -- across retries --------------------------------------------------------------------------

ACROSS = Lock("k:{user_id}", scope=Scope.ACROSS_RETRIES)


def retrying(lock: Lock = ACROSS, expires: Any = ..., **arguments: Any) -> Task:
    """A task whose first try has ended with a retry on its way."""
    task = Task(lock)
    options = {} if expires is ... else {"expires": expires}
    task.raises(Retry("later", sig=task.task.s(**arguments).set(**options)))
    return task


def in_a_minute() -> str:
    return (datetime.now(timezone.utc) + timedelta(seconds=60)).isoformat()


def holder_of(task: Task, key: str = "k:7") -> str | None:
    held = task.engine.store.peek(key)
    return None if held is None else held.holder


def test_between_two_tries_the_key_is_kept_for_the_next_one() -> None:
    task = retrying()

    assert task.deliver().state == "RETRY"

    assert holder_of(task) == "id-1/queued/1"
    other = task.deliver(id="id-2", tag="tag-2")
    assert other.state == "IGNORED"  # sent again
    met = task.engine.told(Conflicted)[-1].holder
    assert (met.task_id, met.node, met.retry_no) == ("id-1", "", 1)


def test_the_next_try_takes_the_key_over_and_frees_it_in_the_end() -> None:
    task = retrying()
    task.deliver()
    task.during = lambda task: task.lease.token

    ended = task.deliver(retries=1, tag="tag-2")

    first, second = task.engine.told(Acquired)
    assert ended == Ended("SUCCESS", second.token)
    assert second.token > first.token
    assert task.engine.told(Conflicted) == []
    assert holder_of(task) is None


def test_a_try_after_the_next_finds_free_what_was_left_to_that_one() -> None:
    """The next one has run where nobody knew of the lock: it has sent this one."""
    task = retrying()
    task.deliver()

    task.deliver(retries=2, tag="tag-2")

    assert task.runs == 2
    assert holder_of(task) == "id-1/queued/3"


@pytest.mark.parametrize("error", [None, ValueError("no"), Ignore()], ids=repr)
def test_whatever_ends_the_task_for_good_frees_the_key(error: BaseException | None) -> None:
    task = retrying()
    task.deliver()
    if error is None:
        task.during = lambda task: "done"
    else:
        task.raises(error)

    task.deliver(retries=1, tag="tag-2")

    assert holder_of(task) is None


def test_a_retry_that_is_lost_keeps_nobody_out_for_longer_than_queue_ttl() -> None:
    task = retrying(Lock("k:{user_id}", scope="across_retries", queue_ttl=600))
    task.deliver()

    task.engine.clock.move(599)
    assert holder_of(task) is not None
    task.engine.clock.move(1)

    assert holder_of(task) is None


def test_without_queue_ttl_it_is_a_day() -> None:
    task = retrying()
    task.deliver()

    task.engine.clock.move(86_399)
    assert holder_of(task) is not None
    task.engine.clock.move(1)

    assert holder_of(task) is None


def test_a_retry_that_expires_keeps_nobody_out_after_that() -> None:
    task = retrying()
    task.deliver(expires=in_a_minute())

    task.engine.clock.move(61)

    assert holder_of(task) is None


@pytest.mark.parametrize("expires", [60, in_a_minute], ids=["seconds", "moment"])
def test_a_retry_with_an_expiry_of_its_own_keeps_nobody_out_after_that(expires: Any) -> None:
    task = retrying(expires=expires() if callable(expires) else expires)
    task.deliver()

    task.engine.clock.move(61)

    assert holder_of(task) is None


@pytest.mark.parametrize("expires", [3600, None])
def test_a_retry_that_lives_longer_than_its_first_try_keeps_the_key_for_as_long(
    expires: int | None,
) -> None:
    task = retrying(expires=expires)
    task.deliver(expires=in_a_minute())

    task.engine.clock.move(3500)

    assert holder_of(task) == "id-1/queued/1"


def test_a_retry_that_was_raised_by_hand_keeps_nothing() -> None:
    """Nothing was sent, so nobody would ever come for the key."""
    task = Task(ACROSS)
    task.raises(Retry("later"))

    task.deliver()

    assert holder_of(task) is None


def test_a_retry_with_other_arguments_keeps_nothing() -> None:
    task = retrying(user_id=8)

    task.deliver()

    assert holder_of(task) is None


def test_a_key_that_the_sender_named_is_kept_whatever_the_arguments_are() -> None:
    task = retrying(user_id=8)

    task.deliver(headers={HEADER: {"v": 1, "key": "named"}})

    assert holder_of(task, "named") == "id-1/queued/1"


@pytest.mark.parametrize("given", [None, "named"])
def test_a_retry_that_names_another_key_keeps_nothing(given: str | None) -> None:
    task = Task(ACROSS)
    headers = {HEADER: {"v": 1, "key": "another"}}
    task.raises(Retry("later", sig=task.task.s(7).set(headers=headers)))

    task.deliver(headers={HEADER: {"v": 1, "key": given}} if given else {})

    assert holder_of(task, given or "k:7") is None


def test_a_lock_while_running_keeps_nothing_between_tries() -> None:
    task = retrying(Lock("k:{user_id}"))

    task.deliver()

    assert holder_of(task) is None
    assert len(task.engine.told(Released)) == 1


def test_queue_ttl_without_a_scope_that_has_it_is_refused() -> None:
    with pytest.raises(LockConfigurationError, match=r"write scope=Scope\.ACROSS_RETRIES"):
        Lock("k", queue_ttl=60)
