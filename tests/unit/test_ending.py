"""What a release does besides: it records a completion, or leaves the key to the next try."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery.exceptions import Ignore, Reject, Retry

from celery_lock import Lock, LockConfigurationError, Scope, requeue
from celery_lock.app.locks import locks_of
from celery_lock.events import Acquired, Conflicted, CopyDropped, Released
from celery_lock.message import HEADER
from celery_lock.message.transports import AMQP, REDIS

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

    def remembers(self) -> bool:
        """A completion was recorded."""
        ends = [asked["end"] for asked in self.engine.store.asked("release")]
        return any(end is not None and end.publication for end in ends)

    def raises(self, error: BaseException) -> None:
        def during(task: Any) -> None:
            raise error

        self.during = during


# -- copies ----------------------------------------------------------------------------------


def test_a_copy_that_comes_after_a_redelivered_message_was_completed_does_not_run() -> None:
    task = Task(**LATE)
    task.deliver(redelivered=True)

    ended = task.deliver(redelivered=True)

    assert ended.state == "IGNORED"
    assert task.runs == 1
    (told,) = task.engine.told(CopyDropped)
    assert (told.key, told.task_id, told.publication) == ("k", "id-1", "tag-1")
    assert task.engine.told(Conflicted) == []


def test_a_copy_that_was_sent_again_does_not_run_after_the_first_was_completed() -> None:
    """It met the first one running, and waits in the queue while that one ends."""
    task = Task(Lock("k", on_conflict=requeue()), **LATE)
    lease = task.engine.hold(task_id="id-1")
    task.deliver(redelivered=True)
    again = {HEADER: task.engine.sent[-1].header}
    task.engine.free(lease)
    task.deliver(redelivered=True)  # the first, once more

    ended = task.deliver(headers=again, tag="tag-2")

    assert ended.state == "IGNORED"
    assert task.runs == 1


def test_a_message_that_was_sent_again_is_known_by_its_publication_when_it_is_completed() -> None:
    task = Task(Lock("k", on_conflict=requeue()))
    lease = task.engine.hold()
    task.deliver()
    again = {HEADER: task.engine.sent[-1].header}
    task.engine.free(lease)
    task.deliver(headers=again, tag="tag-2")

    ended = task.deliver(redelivered=True)  # its worker had died before it acknowledged the first

    assert ended.state == "IGNORED"
    assert task.runs == 1


def test_a_message_that_came_for_the_first_time_costs_no_memory() -> None:
    task = Task(**LATE)

    task.deliver(ago=VISIBILITY / 2 - 60)

    assert not task.remembers()


def test_a_message_that_was_long_unacknowledged_is_remembered() -> None:
    task = Task(**LATE)

    task.deliver(ago=VISIBILITY / 2 + 60)
    ended = task.deliver(redelivered=True)

    assert ended.state == "IGNORED"


def test_with_early_acks_only_the_wait_for_a_slot_counts() -> None:
    slow, waited = Task(), Task()

    slow.deliver(ago=60)
    waited.deliver(ago=VISIBILITY / 2 + 60)

    assert not slow.remembers()
    assert waited.remembers()


def test_a_message_whose_connection_was_lost_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celery_lock.task.ending.connection_epoch", lambda: 2)
    late, early, same = Task(**LATE), Task(), Task(**LATE)

    late.deliver(ago=1, era=1)
    early.deliver(ago=1, era=1)
    same.deliver(ago=1, era=2)

    assert (late.remembers(), early.remembers(), same.remembers()) == (True, False, False)


def test_where_a_lost_connection_redelivers_at_once_every_late_ack_is_remembered() -> None:
    late, early = Task(**LATE), Task()
    for task in (late, early):
        locks_of(task.task.app).transport = AMQP
        task.deliver(ago=1)

    assert (late.remembers(), early.remembers()) == (True, False)


def test_an_eager_task_needs_no_broker() -> None:
    """Its tests run where the driver of the real one may not be installed."""
    task = Task(**LATE)
    del locks_of(task.task.app).transport
    task.task.app.conf.broker_url = "nosuch://elsewhere"

    assert task.task.apply().get() == "done"
    assert not task.remembers()


def test_an_eager_task_records_nothing_whatever_its_header_says() -> None:
    """A test may hand on the headers of a message that was sent again."""
    task = Task(Lock("k", on_conflict=requeue()))
    lease = task.engine.hold()
    task.deliver()
    task.engine.free(lease)

    assert task.task.apply(headers={HEADER: task.engine.sent[-1].header}).get() == "done"

    assert not task.remembers()


def test_a_record_outlives_the_visibility_timeout_and_the_longest_pause() -> None:
    task = Task(**LATE)
    task.deliver(redelivered=True)

    task.engine.clock.move(VISIBILITY + VISIBILITY / 8)
    assert task.deliver(redelivered=True).state == "IGNORED"
    task.engine.clock.move(VISIBILITY)

    assert task.deliver(redelivered=True).state == "SUCCESS"


@pytest.mark.parametrize(
    "error", [Reject("later", requeue=True), SystemExit(1), KeyboardInterrupt()], ids=repr
)
def test_an_ending_that_brings_the_message_back_is_no_completion(error: BaseException) -> None:
    task = Task(**LATE)
    task.raises(error)
    try:
        task.deliver(redelivered=True)
    except BaseException as raised:
        assert type(raised) is type(error)  # noqa: PT017

    task.during = lambda task: "done"
    ended = task.deliver(redelivered=True)

    assert ended.state == "SUCCESS"
    assert task.runs == 2


@pytest.mark.parametrize("error", [ValueError("no"), Ignore(), Reject("no")], ids=repr)
def test_every_other_ending_is_one(error: BaseException) -> None:
    task = Task(**LATE)
    task.raises(error)
    task.deliver(redelivered=True)

    if isinstance(error, Reject):  # the main process stores that
        task.task.backend.mark_as_failure("id-1", error)
    ended = task.deliver(redelivered=True)

    assert ended.state == "IGNORED"
    assert task.runs == 1


def test_a_copy_of_a_task_without_results_is_dropped_by_the_record_alone() -> None:
    task = Task(ignore_result=True, **LATE)
    task.deliver(redelivered=True)

    assert task.deliver(redelivered=True).state == "IGNORED"


def test_a_task_id_that_is_used_twice_runs_twice() -> None:
    """On RabbitMQ both messages are one publication, as far as anybody can tell."""
    task = Task(**LATE)
    locks_of(task.task.app).transport = AMQP
    task.deliver(tag=1)

    ended = task.deliver(tag=2)

    assert ended.state == "SUCCESS"
    assert task.runs == 2


def test_a_task_id_that_is_used_twice_runs_twice_though_it_met_a_conflict() -> None:
    task = Task(Lock("k", on_conflict=requeue()), **LATE)
    locks_of(task.task.app).transport = AMQP
    task.deliver(tag=1)
    task.engine.clock.move(1)
    lease = task.engine.hold()
    task.deliver(tag=2)
    task.engine.free(lease)

    ended = task.deliver(tag=3, headers={HEADER: task.engine.sent[-1].header})

    assert ended.state == "SUCCESS"
    assert task.runs == 2


def test_a_retry_is_no_copy_of_the_try_before_it() -> None:
    task = Task(max_retries=3, **LATE)
    task.raises(Retry("later", sig=task.task.s()))
    task.deliver(redelivered=True)
    task.during = lambda task: "done"

    ended = task.deliver(redelivered=True, retries=1, tag="tag-2")

    assert ended.state == "SUCCESS"


# -- across retries --------------------------------------------------------------------------

ACROSS = Lock("k:{user_id}", scope=Scope.ACROSS_RETRIES)


def retrying(lock: Lock = ACROSS, **arguments: Any) -> Task:
    """A task whose first try has ended with a retry on its way."""
    task = Task(lock)
    task.raises(Retry("later", sig=task.task.s(**arguments)))
    return task


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


def test_a_try_after_the_next_does_not_take_it_over() -> None:
    task = retrying()
    task.deliver()

    task.deliver(retries=2, tag="tag-2")

    assert task.runs == 1
    assert holder_of(task) == "id-1/queued/1"


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
    task.deliver(expires=(datetime.now(timezone.utc) + timedelta(seconds=60)).isoformat())

    task.engine.clock.move(61)

    assert holder_of(task) is None


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


def test_a_lock_while_running_keeps_nothing_between_tries() -> None:
    task = retrying(Lock("k:{user_id}"))

    task.deliver()

    assert holder_of(task) is None
    assert len(task.engine.told(Released)) == 1


def test_queue_ttl_without_a_scope_that_has_it_is_refused() -> None:
    with pytest.raises(LockConfigurationError, match=r"write scope=Scope\.ACROSS_RETRIES"):
        Lock("k", queue_ttl=60)
