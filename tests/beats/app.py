"""The app of the beats and their worker: two tasks that write down that they ran."""

from __future__ import annotations

import json
import os
from typing import Any

from celery_lock import Lock, LockedTask, constant, requeue
from tests.beats.book import note
from tests.beats.entries import beat_schedule, entries_of_this_process
from tests.beats.inside import CONF, NOTES, STORE, WatchedApp, due_of, watch_store

__all__ = ["app"]

app: Any = WatchedApp("beats")
app.conf.update(
    lock_store=os.environ.get(STORE),
    redbeat_redis_url=os.environ.get(STORE),
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=4,
    # the entries of a database are rows
    beat_schedule=beat_schedule(
        [] if "DJANGO_SETTINGS_MODULE" in os.environ else entries_of_this_process()
    ),
)
app.conf.update(json.loads(os.environ.get(CONF, "{}")))
if app.home is not None:
    watch_store(app.book)


@app.task(
    bind=True,
    name="beats.locked",
    base=LockedTask,
    lock=Lock("{entry}", on_conflict=requeue(constant(0.2))),
)
def locked(self: Any, entry: str) -> None:
    """Runs once for each tick."""
    ran(self, entry)


@app.task(bind=True, name="beats.plain")
def plain(self: Any, entry: str) -> None:
    """Runs as often as it is sent."""
    ran(self, entry)


def ran(task: Any, entry: str) -> None:
    """Write it down."""
    headers = task.request.headers or {}
    note(
        app.book,
        "ran",
        entry=entry,
        due=due_of(headers),
        task_id=task.request.id,
        pid=os.getpid(),
        **headers.get(NOTES, {}),
    )
