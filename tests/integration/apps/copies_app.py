"""Tasks whose messages come again: prefetched for too long, rejected, cut off, left by a death."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.exceptions import Reject
from celery.signals import before_task_publish
from kombu import Exchange, Queue

from celery_lock import Lock, LockedTask, constant, requeue
from tests.integration.apps.history import VARIABLE, History, tell

VISIBILITY = "TEST_VISIBILITY"
DOOMED = "TEST_DOOMED"
"""Set in a worker that dies as it publishes the next step of a chain."""
STORE = "TEST_STORE"
AGAIN = requeue(constant(0.2))

WORK = Queue(
    "work",
    Exchange(""),
    "work",
    queue_arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "rest"},
)
REST = Queue(
    "rest",
    Exchange(""),
    "rest",
    queue_arguments={
        "x-message-ttl": 500,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "work",
    },
)
"""Where rejected messages rest for a while, and are led back from."""


class TooLate(Exception):
    """What a body raises once."""


def times(job: str) -> int:
    """How often the body of a job has started."""
    return len(History(Path(os.environ[VARIABLE])).lines("start", job))


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("copies", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": float(os.environ.get(VISIBILITY, "3600")),
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        },
        worker_prefetch_multiplier=4,
        task_queues=[WORK],
        lock_store=os.environ.get(STORE),
        **conf,
    )
    for twin in ("locked", "plain"):
        locked: dict[str, Any] = {
            "base": LockedTask,
            "lock": Lock("{key}", ttl=3, on_conflict=AGAIN),
        }
        own = locked if twin == "locked" else {}
        for acks, late in (("late", True), ("early", False)):
            app.task(_run, name=f"copies.{twin}.{acks}", shared=False, acks_late=late, **own)
        app.task(
            _raise,
            name=f"copies.{twin}.raises",
            shared=False,
            acks_late=True,
            track_started=True,
            **own,
        )
        app.task(
            _run,
            name=f"copies.{twin}.first",
            shared=False,
            acks_late=True,
            ignore_result=True,
            **own,
        )
        app.task(
            _reject, bind=True, name=f"copies.{twin}.rejects", shared=False, acks_late=True, **own
        )
        app.task(
            _fail,
            name=f"copies.{twin}.fails",
            shared=False,
            acks_late=True,
            acks_on_failure_or_timeout=False,
            **own,
        )
    app.task(_run, name="copies.next", shared=False)
    return app


def _run(job: str, seconds: float = 0.0, key: str = "") -> None:
    tell("start", job)
    time.sleep(seconds)
    tell("end", job)


def _raise(job: str, seconds: float = 0.0, key: str = "") -> None:
    _run(job, seconds)
    raise TooLate


def _reject(self: Any, job: str, seconds: float = 0.0, key: str = "") -> None:
    if not times(job):
        tell("start", job)
        raise Reject("not now", requeue=False)
    _run(job, seconds)


def _fail(job: str, seconds: float = 0.0, key: str = "") -> None:
    if not times(job):
        tell("start", job)
        raise TooLate
    _run(job, seconds)


@before_task_publish.connect
def _die(sender: Any = None, **_: Any) -> None:
    if sender == "copies.next" and DOOMED in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)


app = make_app()
