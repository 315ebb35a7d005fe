"""The Celery app of the worker that is measured: one empty task for every way to lock it."""

from __future__ import annotations

import os
import threading
import time
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import redis
from celery import Celery
from celery_once import QueueOnce
from celery_singleton import Singleton

from celery_lock import Lock, LockedTask

from . import names
from .server import two_pings

__all__ = ["MARKS", "QUEUE", "TASKS", "URL", "app", "filled", "mark"]

QUEUE = "bench"
"""What the worker listens to."""
MARKS = "bench-marks"
"""A list of times, by the clock that all processes of the machine share."""

URL = os.environ.get("BENCH_URL", "redis://127.0.0.1:6379/0")

app = Celery("bench", broker=URL, set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_default_queue=QUEUE,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    ONCE={"backend": "celery_once.backends.Redis", "settings": {"url": URL}},
)


_own = threading.local()
"""A connection of each thread's own."""


def filled(name: str) -> str:
    """Return where the messages of one kind lie until they become the queue, all at once."""
    return f"bench-filled-{list(TASKS).index(name)}"


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(URL)


@app.task(shared=False)
def mark() -> None:
    """Say what time it is."""
    _client().rpush(MARKS, time.monotonic_ns())


@app.task(shared=False)
def plain(n: int) -> None:
    """No lock."""


@app.task(shared=False)
def pings(n: int) -> None:
    """No lock, but the round trips that one needs: what no lock can be faster than."""
    if not hasattr(_own, "pings"):
        _own.pings = two_pings(urlsplit(URL).port or 6379)
    _own.pings()


@app.task(shared=False, base=LockedTask, lock=Lock("bench:{n}"))
def template(n: int) -> None:
    """Our lock, its key a template."""


@app.task(shared=False, base=LockedTask)
def digest(n: int) -> None:
    """Our lock, its key a digest of the arguments."""


@app.task(shared=False)
def redis_py(n: int) -> None:
    """A plain task whose body takes redis-py's lock."""
    with _client().lock(f"bench:redis-py:{n}", timeout=30):
        pass


@app.task(shared=False, base=QueueOnce)
def once(n: int) -> None:
    """celery-once: the publisher takes the lock."""


@app.task(shared=False, base=Singleton, lock_expiry=3600)
def singleton(n: int) -> None:
    """celery-singleton: the publisher takes the lock."""


TASKS: dict[str, Any] = {
    names.PLAIN: plain,
    names.PINGS_IN_BODY: pings,
    names.TEMPLATE: template,
    names.DIGEST: digest,
    names.REDIS_PY: redis_py,
    names.ONCE: once,
    names.SINGLETON: singleton,
}
