"""The warning of scheduled jobs that would pile up: which entries it names, and which not."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, signals
from celery.beat import ScheduleEntry
from kombu import Queue

from celery_lock import Lock, LockedTask, requeue, skip, wait
from celery_lock.app.start_checks import warn_of_piling, warn_of_transport, warn_of_unread
from celery_lock.message import Transport
from celery_lock.message.transports import AMQP, REDIS, SQS, UNKNOWN, VIRTUAL

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


# -- the transport ---------------------------------------------------------------------------


def said_of(caplog: pytest.LogCaptureFixture, row: Transport, *queues: Queue) -> list[str]:
    with caplog.at_level(logging.WARNING, "celery_lock"):
        warn_of_transport(row, {queue.name: queue for queue in queues})
    return [record.getMessage() for record in caplog.records]


def test_a_transport_that_is_not_known_is_named_with_what_is_assumed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (line,) = said_of(caplog, replace(UNKNOWN, driver="carrier-pigeon"))

    assert "'carrier-pigeon' is not known" in line
    assert "within 1 h 00 min" in line
    assert "up to 7 min 30 s" in line


@pytest.mark.parametrize("row", [REDIS, AMQP, SQS, VIRTUAL], ids=lambda row: row.driver)
def test_a_transport_that_was_tried_is_not_named(
    caplog: pytest.LogCaptureFixture, row: Transport
) -> None:
    assert said_of(caplog, row, Queue("fast")) == []


@pytest.mark.parametrize(
    ("queue", "count"),
    [
        (Queue("fast", queue_arguments={"x-queue-type": "quorum"}), 0),
        (Queue("f" * 188, queue_arguments={"x-queue-type": "quorum"}), 1),
        (Queue("fast", expires=60.0, queue_arguments={"x-queue-type": "quorum"}), 1),
        (Queue("f" * 188), 0),
    ],
)
def test_a_quorum_queue_whose_messages_wait_in_a_worker_is_named(
    caplog: pytest.LogCaptureFixture, queue: Queue, count: int
) -> None:
    assert len(said_of(caplog, AMQP, queue)) == count


def test_a_lock_that_an_annotation_gives_to_a_class_that_cannot_lock_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.task_annotations = {
        name: {"lock": Lock("k")} for name in ("plain", "locked", "celery.chord")
    }
    app.task(name="plain", shared=False)(body)
    locked(app, name="locked")(body)
    app.finalize()

    with caplog.at_level(logging.WARNING, "celery_lock"):
        warn_of_unread(app)

    assert "nobody takes, for their class is no LockedTask: plain. Write" in caplog.text


def test_an_app_without_any_locked_task_hears_of_its_list_of_locks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A single lock says so where it is declared. A list is not asked, and binds nothing."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.task(name="plain", shared=False, lock=[Lock("a"), Lock("b")])(body)
    app.finalize()

    with caplog.at_level(logging.WARNING, "celery_lock"):
        signals.celeryd_after_setup.send("w1", instance=SimpleNamespace(app=app), conf=app.conf)

    assert "nobody takes, for their class is no LockedTask: plain. Write" in caplog.text


def test_an_app_with_a_locked_task_hears_of_it_once(caplog: pytest.LogCaptureFixture) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.task(name="plain", shared=False, lock=[Lock("a"), Lock("b")])(body)
    locked(app, name="locked")(body)
    app.finalize()

    with caplog.at_level(logging.WARNING, "celery_lock"):
        signals.celeryd_after_setup.send("w1", instance=SimpleNamespace(app=app), conf=app.conf)

    assert caplog.text == ""  # that is said by the step of its worker


def test_without_such_a_lock_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False, task_cls=LockedTask)
    app.task(name="plain", shared=False)(body)
    app.task(name="declared", shared=False, lock=Lock("k"))(body)
    app.finalize()

    with caplog.at_level(logging.WARNING, "celery_lock"):
        warn_of_unread(app)

    assert caplog.text == ""
