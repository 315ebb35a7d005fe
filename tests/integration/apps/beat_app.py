"""One job with a lock and one without, fired by the same schedule."""

from __future__ import annotations

import os

from celery import Celery
from redis import Redis

from celery_lock import Lock, LockedTask, skip

STORE = "TEST_STORE"

EVERY = 6.0
"""Seconds between two due times."""
FLOOR = 5.0
"""Seconds by which the messages of one due time may be apart as they start."""

app = Celery("beats", set_as_current=False)
app.conf.update(
    broker_connection_retry_on_startup=True,
    beat_schedule={
        kind: {"task": f"beats.{kind}", "schedule": EVERY} for kind in ("locked", "plain")
    },
)


def note(kind: str) -> None:
    """Write down that it ran."""
    with Redis.from_url(os.environ[STORE]) as redis:
        redis.incr(f"ran:{kind}")


@app.task(
    base=LockedTask,
    name="beats.locked",
    shared=False,
    lock=Lock("report", at_least=FLOOR, on_conflict=skip()),
)
def locked() -> None:
    """Ends at once, and its key stays taken for `FLOOR`."""
    note("locked")


@app.task(name="beats.plain", shared=False)
def plain() -> None:
    """Runs as often as it is sent."""
    note("plain")
