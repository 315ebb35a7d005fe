"""Tasks with and without a lock, to be run while a server is away."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask, LockError, constant, requeue
from celery_lock.signals import lock_store_failed
from tests.integration.apps.history import tell
from tests.services import wait_for

BODY = 0.2
DEADLINE = 0.4
GATE = "TEST_GATE"
"""A file: bodies that wait for it go on once it exists."""


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("outage", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            # a killed broker cannot be told what is done: what it delivers again, it delivers soon
            "visibility_timeout": 4,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            # a server that is killed while a worker looks keeps kombu's mutex, for five minutes
            # unless it is told otherwise: nothing is given back meanwhile, to any worker
            "unacked_mutex_expire": 1,
        },
        lock_store_deadline=DEADLINE,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0},
        **conf,
    )

    def body(kind: str, job: Any) -> None:
        tell("start", f"{kind} {job}")
        time.sleep(BODY)
        tell("end", f"{kind} {job}")

    @app.task(name="outage.plain", shared=False)
    def plain(job: int) -> str:
        """As any task that has no lock."""
        body("plain", job)
        return "ran"

    @app.task(
        name="outage.locked",
        shared=False,
        base=LockedTask,
        lock=Lock("locked:{key}", ttl=5, on_conflict=requeue(constant(0.2))),
    )
    def locked(job: int, key: int) -> str:
        """The same with a lock, which some share."""
        body("locked", job)
        return "ran"

    @app.task(
        name="outage.runs",
        shared=False,
        bind=True,
        base=LockedTask,
        lock=Lock("runs", on_store_error="run"),
    )
    def runs(self: Any) -> str:
        """Runs in any case, and knows it."""
        try:
            return f"token {self.lease.token}"
        except LockError as error:
            return f"unlocked: {error}"

    @app.task(
        name="outage.fails",
        shared=False,
        base=LockedTask,
        lock=Lock("fails", on_store_error="fail"),
    )
    def fails() -> str:
        """Fails at once."""
        return "ran"

    @app.task(
        name="outage.gated",
        shared=False,
        bind=True,
        base=LockedTask,
        lock=Lock("gated:{job}", ttl=120),
    )
    def gated(self: Any, job: str) -> str:
        """A body that lasts until the test says."""
        tell("start", job)
        _pass_gate()
        return "ran"

    def late_key(job: str) -> str:
        tell("key", job)
        _pass_gate()
        return f"late:{job}"

    @app.task(name="outage.between", shared=False, base=LockedTask, lock=Lock(late_key))
    def between(job: str) -> str:
        """Arrived, acknowledged, and about to claim, until the test says."""
        return "ran"

    @lock_store_failed.connect(weak=False)
    def _(sender: Any, fact: Any, **_: Any) -> None:
        tell("failed", fact.task, call=fact.call, answer=fact.answer)

    return app


def _pass_gate() -> None:
    wait_for(Path(os.environ[GATE]).exists, "the gate", timeout=30)


app = make_app(
    task_acks_late=os.environ.get("TEST_ACKS") == "late",
    lock_store=os.environ.get("TEST_STORE"),
)
