"""`at_least_on_failure=False`: a success keeps others out for `at_least`, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded

from celery_lock import Lock, Scope, skip
from celery_lock.model import Held

from .engine import Ended, Engine, deliver, locked

HOUR = 3600.0


class Report:
    """A task of which one success an hour is wanted, and what its body does."""

    def __init__(self, engine: Engine, **lock: Any) -> None:
        self.ran: list[str] = []
        self.during: Callable[[Any], Any] = lambda task: "done"

        def body(task: Any) -> Any:
            self.ran.append(task.request.id)
            return self.during(task)

        lock = {"at_least": HOUR, "at_least_on_failure": False, "on_conflict": skip(), **lock}
        self.task = locked(engine.app(), Lock("report", **lock), name="report", bind=True)(body)

    def deliver(self, id: str = "id-1", **request: Any) -> Ended:
        return deliver(self.task, id=id, **request)


def raises(error: BaseException) -> Callable[[Any], Any]:
    def body(task: Any) -> Any:
        raise error

    return body


def left(engine: Engine) -> float | None:
    """For how long the key is kept taken by nobody."""
    held = engine.store.inner.peek("report")
    return None if held is None else held.expires_in


def test_a_success_keeps_others_out_from_its_acquire_on(engine: Engine) -> None:
    report = Report(engine)
    report.during = lambda task: engine.move(600)

    report.deliver()
    kept = left(engine)
    report.deliver("id-2")
    engine.move(3001)
    report.deliver("id-3")

    assert kept == pytest.approx(3000, abs=0.1)
    assert report.ran == ["id-1", "id-3"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        SoftTimeLimitExceeded(),
        Ignore("no"),
        Reject("no"),
        Reject("no", requeue=True),
        Retry("later"),
    ],
    ids=repr,
)
def test_what_is_no_success_keeps_nobody_out(engine: Engine, error: Exception) -> None:
    report = Report(engine)
    report.during = raises(error)

    report.deliver()
    report.during = lambda task: "done"
    report.deliver("id-2")

    assert report.ran == ["id-1", "id-2"]
    assert left(engine) is not None


@pytest.mark.parametrize("stop", [SystemExit(1), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_a_run_that_is_stopped_keeps_nobody_out(engine: Engine, stop: BaseException) -> None:
    report = Report(engine)
    report.during = raises(stop)

    with suppress(SystemExit, KeyboardInterrupt):
        report.deliver()

    assert left(engine) is None


def test_a_run_that_is_killed_keeps_nobody_out(engine: Engine) -> None:
    """Nobody releases the key of a lost worker: it is free when its lease has run out."""
    report = Report(engine)
    seen: list[Any] = []
    report.during = lambda task: seen.append(engine.store.inner.peek("report"))

    report.deliver()

    held = seen[0]
    assert isinstance(held, Held)
    assert held.expires_in <= 30.0


def test_its_own_retry_passes_the_floor_of_a_success(engine: Engine) -> None:
    report = Report(engine)

    report.deliver()
    report.deliver(retries=1)

    assert report.ran == ["id-1", "id-1"]


def test_a_skipped_message_sets_no_floor(engine: Engine) -> None:
    report = Report(engine)
    lease = engine.hold("report")

    report.deliver()
    engine.free(lease)

    assert left(engine) is None


def test_a_failure_does_not_shorten_the_floor_of_the_success_before(engine: Engine) -> None:
    report = Report(engine)
    report.deliver()
    engine.move(60)

    report.during = raises(ValueError("no"))
    report.deliver(retries=1)

    assert left(engine) == pytest.approx(HOUR - 60, abs=1)


def test_a_release_that_is_late_sets_the_floor_all_the_same(engine: Engine) -> None:
    report = Report(engine)

    def and_down(task: Any) -> None:
        engine.store.refuse("release", times=1)

    report.during = and_down
    report.deliver()
    engine.settle()

    kept = left(engine)
    assert kept is not None
    assert kept > HOUR - 60


def test_each_permit_has_a_floor_of_its_own(engine: Engine) -> None:
    report = Report(engine, limit=2)

    for number in range(4):
        report.during = raises(ValueError("no")) if number == 1 else lambda task: "done"
        report.deliver(f"id-{number}")

    assert report.ran == ["id-0", "id-1", "id-2"]


def test_across_retries_only_the_last_success_sets_it(engine: Engine) -> None:
    report = Report(engine, scope=Scope.ACROSS_RETRIES)

    def retries(task: Any) -> Any:
        if task.request.retries:
            return "done"
        raise task.retry(countdown=1)

    report.during = retries
    report.deliver()
    report.deliver("id-2")
    report.deliver(retries=1)
    report.deliver("id-3")

    assert report.ran == ["id-1", "id-1"]
    kept = left(engine)
    assert kept is not None
    assert kept <= HOUR


def test_an_eager_success_sets_it_too(engine: Engine) -> None:
    report = Report(engine)

    report.during = raises(ValueError("no"))
    report.task.apply()
    report.during = lambda task: "done"
    report.task.apply()
    report.task.apply()

    assert len(report.ran) == 2


def test_several_locks_have_their_own_floors(engine: Engine) -> None:
    def body(task: Any) -> Any:
        return "done"

    locks = [
        Lock("a", at_least=60, at_least_on_failure=False),
        Lock("b", at_least=90),
        Lock("c"),
    ]
    task = locked(engine.app(), locks, name="t", bind=True)(body)

    deliver(task)

    peeked = [engine.store.inner.peek(key) for key in "abc"]
    assert [None if one is None else round(one.expires_in) for one in peeked] == [60, 90, None]
