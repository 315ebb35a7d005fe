"""The warnings of limits that make a policy do something else than it says, with the numbers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, Task

from celery_lock import Lock, fail, requeue, skip, wait
from celery_lock.app.limit_checks import (
    warn_of_limits,
    warn_of_long_leases,
    warn_of_short_leases,
)
from celery_lock.app.locks import locks_of
from celery_lock.app.worker import WorkerStep

from .engine import locked


def body() -> None: ...


def an_app(policy: Any, conf: dict[str, Any] | None = None, **options: Any) -> Celery:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.update(conf or {})
    locked(app, Lock("k", on_conflict=policy), name="report", **options)(body)
    return app


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[..., list[str]]:
    def of(app: Celery, *, processes: int = 4, time_limit: float | None = None) -> list[str]:
        with caplog.at_level(logging.WARNING, "celery_lock"):
            bound = locks_of(app).bound
            warn_of_limits(app, bound, processes=processes, time_limit=time_limit)
        return [record.getMessage() for record in caplog.records]

    return of


Said = Callable[..., list[str]]

# -- pools that end no body at its limit -----------------------------------------------------


@pytest.mark.parametrize(
    ("pool", "enforces"),
    [
        ("celery.concurrency.prefork", True),
        ("celery.concurrency.gevent", True),
        ("celery.concurrency.thread", False),
        ("celery.concurrency.solo", False),
        ("shop.pools", False),
    ],
)
def test_a_worker_knows_whether_its_pool_ends_a_body_at_its_limit(
    pool: str, enforces: bool
) -> None:
    app = an_app(skip(), {"lock_store": "memory://"})
    kind = type("TaskPool", (), {"__module__": pool})
    more = {"task_events": False, "time_limit": 5, "hostname": "w1@host", "concurrency": 1}

    for derived in (kind, type("Own", (kind,), {})):
        WorkerStep(SimpleNamespace(app=app, pool_cls=derived, **more))

        assert locks_of(app).enforces_limits is enforces


def test_settings_that_came_too_late_are_named(caplog: pytest.LogCaptureFixture) -> None:
    app = an_app(skip(), {"lock_store": "memory://"})
    kind = type("TaskPool", (), {"__module__": "celery.concurrency.solo"})
    more = {"task_events": False, "time_limit": None, "hostname": "w1@host", "concurrency": 1}

    with caplog.at_level(logging.WARNING, "celery_lock"):
        WorkerStep(SimpleNamespace(app=app, pool_cls=kind, **more))
        assert "without effect" not in caplog.text
        app.conf.update(lock_ttl=60, lock_key_prefix="shop:")
        WorkerStep(SimpleNamespace(app=app, pool_cls=kind, **more))

    assert "lock_key_prefix, lock_ttl: set after the first locked task was bound" in caplog.text


# -- a wait and a time limit -----------------------------------------------------------------


@pytest.mark.parametrize("limit", ["time_limit", "soft_time_limit"])
@pytest.mark.parametrize("policy", [wait(20), requeue(max_attempts=1, then=wait(20))])
def test_a_wait_above_the_tasks_own_limit_is_warned_of_as_it_is_bound(
    limit: str, policy: Any
) -> None:
    with pytest.warns(UserWarning, match="report waits .* up to 20 s, .* time limit is 15 s"):
        an_app(policy, **{limit: 15})


@pytest.mark.skipif(
    "task_time_limit" not in dict(Task.from_config).values(),
    reason="this Celery gives its tasks no limit of the app: the worker's start warns",
)
def test_the_limit_of_all_tasks_counts_as_the_tasks_own() -> None:
    with pytest.warns(UserWarning, match="up to 20 s, .* time limit is 15 s"):
        an_app(wait(20), {"task_time_limit": 15})


@pytest.mark.parametrize("policy", [wait(20), skip(), requeue(), lambda c: wait(20)])
def test_a_longer_limit_and_what_does_not_wait_give_no_warning(policy: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        an_app(policy, time_limit=30, soft_time_limit=25)


def test_a_wait_above_the_workers_limit_is_warned_of_as_that_starts(said: Said) -> None:
    (line,) = said(an_app(wait(20)), time_limit=15)

    assert "up to 20 s, but this worker's time limit is 15 s" in line


def test_the_workers_limit_is_none_for_a_task_with_its_own(said: Said) -> None:
    assert said(an_app(wait(20), time_limit=60), time_limit=15) == []
    assert said(an_app(wait(20)), time_limit=30) == []


# -- requeue and limits of deliveries --------------------------------------------------------


SENDING = pytest.mark.parametrize("policy", [None, requeue(), wait(1, then=requeue())])
ENDING = pytest.mark.parametrize("policy", [skip(), fail(), wait(1), lambda c: requeue()])


@SENDING
def test_a_limit_of_etas_is_warned_of_beside_what_is_sent_again(said: Said, policy: Any) -> None:
    (line,) = said(an_app(policy, {"worker_eta_task_limit": 20}))

    assert "worker_eta_task_limit is 20" in line
    assert "report" in line


@SENDING
def test_a_rate_limit_is_warned_of_beside_what_is_sent_again(said: Said, policy: Any) -> None:
    (line,) = said(an_app(policy, rate_limit="10/m"))

    assert "report has the rate_limit '10/m'" in line


@ENDING
def test_neither_is_of_interest_to_what_is_not_sent_again(said: Said, policy: Any) -> None:
    conf = {"worker_eta_task_limit": 20, "task_default_rate_limit": "10/m"}

    assert said(an_app(policy, conf)) == []


@SENDING
def test_without_limits_there_is_nothing_to_say(said: Said, policy: Any) -> None:
    assert said(an_app(policy), processes=1) == []


# -- skip and one process --------------------------------------------------------------------


@pytest.mark.parametrize("policy", [skip(), wait(1, then=skip())])
def test_a_skip_in_a_worker_of_one_process_is_warned_of(said: Said, policy: Any) -> None:
    (line,) = said(an_app(policy), processes=1)

    assert "runs 1 task at a time" in line
    assert "report" in line


def test_a_skip_in_a_worker_of_two_is_not(said: Said) -> None:
    assert said(an_app(skip()), processes=2) == []


@pytest.mark.parametrize("scope", ["until_started", "until_finished"])
def test_a_skip_by_its_publisher_is_not(said: Said, scope: str) -> None:
    app = an_app(requeue())
    locked(app, Lock("other", scope=scope), name="other")(body)

    assert said(app, processes=1) == []


# -- what can never come, and what is cut short ----------------------------------------------


@pytest.mark.parametrize(
    "policy", [requeue(then=skip()), requeue(then=wait(5)), wait(5, then=requeue(then=skip()))]
)
def test_a_then_that_never_comes_is_warned_of_as_it_is_bound(policy: Any) -> None:
    with pytest.warns(
        UserWarning, match=r"report: requeue\(\) has no bound, so then=.*max_attempts"
    ):
        an_app(policy)


@pytest.mark.parametrize(
    "policy",
    [requeue(), requeue(then=fail()), requeue(max_wait=5, then=skip()), wait(5, then=skip())],
)
def test_a_then_that_comes_is_not(policy: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        an_app(policy)


def limited(at_most: float | None, **options: Any) -> Celery:
    app = Celery("shop", broker="memory://", set_as_current=False)
    locked(app, Lock("k", at_most=at_most, on_conflict=requeue()), name="report", **options)(body)
    return app


def test_a_ceiling_below_the_time_limit_is_warned_of_with_the_seconds_without_a_key() -> None:
    with pytest.warns(UserWarning, match=r"at_most=5 is below the time limit of 60 s.* for 55 s"):
        limited(5, time_limit=60)


def test_a_ceiling_below_the_workers_limit_is_warned_of_at_start(said: Said) -> None:
    (line,) = said(limited(5), time_limit=60)

    assert "report: at_most=5 is below the time limit of 60 s" in line


@pytest.mark.parametrize("at_most", [60, 61, None])
def test_a_ceiling_that_outlives_the_limit_is_not(said: Said, at_most: float | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert said(limited(at_most, time_limit=60)) == []
    assert said(limited(at_most), time_limit=60) == []


@pytest.mark.parametrize(
    ("ttl", "deadline", "warned"),
    [(0.5, 2, True), (2, 2, True), (5.9, 2, True), (6, 2, False), (30, 30, True), (3, 0.5, False)],
)
def test_a_lease_shorter_than_three_calls_to_the_store_is_warned_of(
    caplog: pytest.LogCaptureFixture, ttl: float, deadline: float, warned: bool
) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    locked(app, Lock("k", ttl=ttl), name="report")(body)

    with caplog.at_level(logging.WARNING, "celery_lock"):
        warn_of_short_leases(locks_of(app).bound, deadline)

    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == warned
    if warned:
        assert f"the ttl of task report is {ttl:g} s" in lines[0]
        assert f"{3 * deadline:g} s, is lost" in lines[0]


def test_leases_that_outlive_their_worker_by_hours_are_warned_of_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A ttl in milliseconds is one, and one that is as long as the task."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    locked(app, Lock("feed", ttl=30_000), name="feed")(body)
    locked(app, Lock("month", ttl=timedelta(hours=2)), name="month")(body)
    locked(app, Lock("hour", ttl=3600), name="hour")(body)

    with caplog.at_level(logging.WARNING, "celery_lock"):
        warn_of_long_leases(locks_of(app).bound)

    (line,) = [record.getMessage() for record in caplog.records]
    assert "feed (8 h 20 min), month (2 h 00 min). A lease is renewed" in line
    assert "hour (" not in line
