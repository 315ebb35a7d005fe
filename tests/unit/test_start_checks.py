"""The warning of scheduled jobs that would pile up: which entries it names, and which not."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery import Celery
from celery.beat import ScheduleEntry

from celery_lock import Lock, requeue, skip, wait
from celery_lock.app.start_checks import warn_of_piling

from .engine import locked


def body() -> None: ...


def an_app(policy: Any = None, key: str | None = "k", **lock: Any) -> Celery:
    app = Celery("shop", broker="memory://", set_as_current=False)
    locked(app, Lock(key, on_conflict=policy, **lock), name="report")(body)
    return app


def scheduled(app: Celery, **entries: Any) -> Celery:
    every = {"schedule": 60.0}
    given = entries or {"nightly": {"task": "report", **every}}
    app.conf.beat_schedule = given
    return app


def said(app: Celery, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, "celery_lock"):
        warn_of_piling(app)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("policy", [None, requeue(), wait(1, then=requeue())])
def test_an_entry_that_comes_back_without_end_is_named_with_what_to_write(
    caplog: pytest.LogCaptureFixture, policy: Any
) -> None:
    (line,) = said(scheduled(an_app(policy)), caplog)

    assert "report (entry 'nightly')" in line
    assert "on_conflict=skip()" in line


@pytest.mark.parametrize(
    "policy",
    [
        skip(),
        requeue(max_attempts=3),
        requeue(max_wait=60),
        wait(1),
        wait(1, then=requeue(max_wait=60)),
        lambda conflict: requeue(),
    ],
)
def test_a_policy_with_a_bound_or_of_ones_own_is_not(
    caplog: pytest.LogCaptureFixture, policy: Any
) -> None:
    assert said(scheduled(an_app(policy)), caplog) == []


@pytest.mark.parametrize("key", ["k:{beat[due]}", "k:{beat.due!h}"])
def test_a_key_of_one_tick_is_not(caplog: pytest.LogCaptureFixture, key: str) -> None:
    assert said(scheduled(an_app(key=key)), caplog) == []


def test_a_key_that_only_looks_like_that_of_one_tick_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (line,) = said(scheduled(an_app(key="k:{{beat.due}}")), caplog)

    assert "report (entry 'nightly')" in line


def test_all_entries_are_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    app = an_app()
    locked(app, Lock("k2"), name="backup")(body)
    entries = {
        "nightly": {"task": "report", "schedule": 60.0},
        "daily": ScheduleEntry(name="daily", task="backup", schedule=60.0, app=app),
        "plain": {"task": "celery.backend_cleanup", "schedule": 60.0},
        "elsewhere": {"task": "unknown", "schedule": 60.0},
        "broken": {"schedule": 60.0},
    }

    (line,) = said(scheduled(app, **entries), caplog)

    assert "no bound: backup (entry 'daily'), report (entry 'nightly');" in line


def test_an_app_without_a_schedule_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert said(an_app(), caplog) == []
