"""Ticks and buckets as a worker runs them: copies, retries, and the keys of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import Reject, Retry

from celery_lock import Lock, LockConfigurationError, Scope, is_skipped, skip
from celery_lock.app.locks import locks_of
from celery_lock.events import Acquired, Conflicted, CopyDropped
from celery_lock.message import HEADER, tick_header
from celery_lock.message.delivery import in_queue
from celery_lock.message.transports import REDIS
from celery_lock.testing import memory_locks

from .engine import EPOCH, Ended, Engine, deliver, locked

DUE = 1_795_442_400.0
HOUR = 3600.0


class Job:
    """A scheduled task, and what its body saw."""

    def __init__(self, lock: Lock | None = None, **options: Any) -> None:
        self.engine = Engine()
        self.seen: list[Any] = []
        self.during: Callable[[Any], Any] = lambda task: "done"

        def body(task: Any, kind: str = "all") -> Any:
            self.seen.append((task.request.headers or {}).get(HEADER))
            return self.during(task)

        self.task = locked(self.engine.app(), lock or Lock("k"), name="job", bind=True, **options)(
            body
        )
        locks_of(self.task.app).transport = REDIS

    def tick(self, due: float = DUE, **request: Any) -> Ended:
        headers = {HEADER: tick_header("shop", "nightly", due)}
        try:
            return deliver(self.task, **{"headers": headers, "tag": object(), **request})
        finally:
            self.engine.locker.completions.send_now()

    def keys(self) -> list[str]:
        return [fact.key for fact in self.engine.facts if isinstance(fact, Acquired)]


def dropped(job: Job) -> list[str]:
    return [fact.publication for fact in job.engine.facts if isinstance(fact, CopyDropped)]


# -- copies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["id-1", "id-2"])
@pytest.mark.parametrize("policy", [None, skip()])
def test_a_second_copy_of_a_tick_that_has_completed_is_dropped_visibly(
    id: str, policy: Any
) -> None:
    job = Job(Lock("k", at_least=60, on_conflict=policy))
    job.tick(tag="tag-1")

    ended = job.tick(tag="tag-2", id=id)

    assert (ended.state, len(job.seen)) == ("IGNORED", 1)
    assert dropped(job) == [in_queue("beat:shop:nightly:2026-11-23T14:00:00+00:00", "celery")]


@pytest.mark.parametrize("id", ["id-1", "id-2"])
def test_a_copy_that_meets_the_first_one_waits_whatever_the_policy_and_is_dropped_after(
    id: str,
) -> None:
    job, met = Job(Lock("k", on_conflict=skip())), []

    def meets_its_copy(task: Any) -> None:
        job.during = lambda task: "ran twice"
        met.append(job.tick(tag="tag-2", id=id))

    job.during = meets_its_copy
    job.tick(tag="tag-1")
    again = job.tick(headers={HEADER: job.engine.sent[-1].header}, tag="tag-3", id=id)

    assert [one.state for one in (*met, again)] == ["IGNORED", "IGNORED"]
    assert (len(job.seen), len(dropped(job))) == (1, 1)
    assert job.engine.sent[-1].header["beat"] == job.seen[0]["beat"]


def test_a_tick_that_has_not_completed_runs_when_it_comes_again() -> None:
    job = Job(acks_late=True)

    def rejects(task: Any) -> None:
        raise Reject("later", requeue=True)

    job.during = rejects
    job.tick()
    job.during = lambda task: "done"

    assert job.tick(redelivered=True).state == "SUCCESS"


def test_another_tick_is_no_copy() -> None:
    job = Job()

    assert [job.tick(due).state for due in (DUE, DUE + 1)] == ["SUCCESS", "SUCCESS"]


def test_a_retry_of_a_tick_runs_and_knows_it() -> None:
    job = Job()

    states = [job.tick(retries=retries).state for retries in (0, 1, 2)]

    assert states == ["SUCCESS"] * 3
    assert {seen["beat"]["entry"] for seen in job.seen} == {"nightly"}


def test_a_copy_of_a_tick_whose_retry_runs_is_dropped() -> None:
    job = Job()

    def retries(task: Any) -> None:
        raise Retry("later", sig=task.s())

    job.during = retries
    job.tick(id="id-of-retry")
    # task_track_started, and its retry has begun (results in memory outlive a test)
    job.task.backend.store_result("id-of-retry", None, "STARTED")
    ended = job.tick(id="id-of-retry", tag="tag-3")

    assert (ended.state, len(job.seen), len(dropped(job))) == ("IGNORED", 1, 1)


def test_a_retry_of_a_tick_that_is_sent_again_still_knows_it() -> None:
    job = Job()

    other = job.engine.hold("k")
    job.tick(retries=1)
    job.engine.free(other)
    header = job.engine.sent[-1].header
    ended = job.tick(retries=1, headers={HEADER: header})

    assert (ended.state, header["beat"]["entry"]) == ("SUCCESS", "nightly")
    assert not header["publication"].startswith("beat:")


# -- keys ------------------------------------------------------------------------------------

DAILY = Lock("{beat[entry]}/{beat[due]}")
HOURLY = Lock("report:{bucket:1h}")
TICK_KEY = "nightly/20261123T140000Z"
HOUR_KEY = "report:20261123T140000Z"


@pytest.mark.parametrize(("lock", "key"), [(DAILY, TICK_KEY), (HOURLY, HOUR_KEY)])
def test_a_tick_its_retry_and_its_copies_have_one_key(lock: Lock, key: str) -> None:
    job = Job(lock)

    job.tick()
    job.tick(retries=1)

    assert job.keys() == [key, key]


def test_a_message_sent_again_keeps_the_key_of_its_first_publication() -> None:
    job = Job(HOURLY)
    first = {HEADER: {"v": 1, "first_published": DUE + 5}}

    other = job.engine.hold(HOUR_KEY)
    deliver(job.task, headers=first)
    job.engine.free(other)
    deliver(job.task, headers={HEADER: job.engine.sent[-1].header})

    assert job.engine.sent[-1].header["first_published"] == DUE + 5
    assert job.keys()[-1] == HOUR_KEY


@pytest.mark.parametrize(
    ("lock", "said"), [(DAILY, "write {bucket:1h}"), (HOURLY, "import the task where")]
)
def test_a_message_that_does_not_say_it_fails_with_what_to_do(lock: Lock, said: str) -> None:
    job = Job(lock)

    ended = deliver(job.task)

    assert (ended.state, job.seen) == ("FAILURE", [])
    assert isinstance(ended.result, LockConfigurationError)
    assert said in str(ended.result)


@pytest.mark.parametrize(("lock", "key"), [(DAILY, TICK_KEY), (HOURLY, HOUR_KEY)])
def test_a_key_that_is_kept_for_a_retry_is_the_one_that_it_asks_for(lock: Lock, key: str) -> None:
    job = Job(Lock(lock.key, scope=Scope.ACROSS_RETRIES))

    def retries(task: Any) -> None:
        raise task.retry(countdown=0)

    job.during = retries
    job.tick()
    kept = job.engine.holder_of(key)
    job.during = lambda task: "done"
    ended = job.tick(retries=1)

    assert kept is not None
    assert ended.state == "SUCCESS"
    assert job.engine.holder_of(key) is None
    assert not [fact for fact in job.engine.facts if isinstance(fact, Conflicted)]


# -- without a publisher ---------------------------------------------------------------------


def test_an_eager_run_takes_the_time_of_the_call() -> None:
    job = Job(Lock("report:{bucket:1h}", at_least=HOUR, on_conflict=skip()))
    locks_of(job.task.app).now = lambda: DUE + 5

    first, second = job.task.apply(), job.task.apply()

    assert job.keys() == [HOUR_KEY]
    assert (first.get(), is_skipped(second.get())) == ("done", True)


def test_an_eager_run_may_be_given_its_time_and_its_tick() -> None:
    job, hourly = Job(DAILY), Job(HOURLY)

    job.task.apply(headers={HEADER: tick_header("shop", "nightly", DUE)}).get()
    hourly.task.apply(headers={HEADER: {"v": 1, "first_published": DUE}}).get()

    assert (job.keys(), hourly.keys()) == ([TICK_KEY], [HOUR_KEY])


def test_an_eager_run_without_a_tick_fails_as_any_other() -> None:
    with pytest.raises(LockConfigurationError, match=r"write \{bucket:1h\}"):
        Job(DAILY).task.apply().get()


def test_the_time_of_a_test_moves_with_its_clock() -> None:
    job = Job(Lock("report:{bucket:1h}", at_least=HOUR, on_conflict=skip()))

    with memory_locks(job.task.app) as locks:
        before = locks.key_of(job.task)
        results = [job.task.apply().get(), job.task.apply().get()]
        locks.advance(HOUR)
        results.append(job.task.apply().get())
        after = locks.key_of(job.task)

    assert [is_skipped(result) for result in results] == [False, True, False]
    assert (before, after) == ("report:20231114T220000Z", "report:20231114T230000Z")
    assert EPOCH == 1_700_000_000.0
