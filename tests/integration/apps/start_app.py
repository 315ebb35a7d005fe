"""Three locked tasks, and settings that come from the environment as JSON."""

from __future__ import annotations

import json
import os
import sys

from celery import Celery

from celery_lock import Lock, LockedTask, skip, wait

for package in os.environ.get("TEST_WITHOUT", "").split():
    # as if it were not installed, though some plugin of Celery's may have it already
    for module in (package, *(m for m in sys.modules if m.startswith(f"{package}."))):
        sys.modules[module] = None  # type: ignore[assignment]

app = Celery("start")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=1,
    **json.loads(os.environ.get("TEST_SETTINGS", "{}")),
)


@app.task(base=LockedTask, lock=Lock("work:{n}", on_conflict=wait(3)))
def work(n: int) -> int:
    """Something to do."""
    return n


@app.task(base=LockedTask)
def later() -> None:
    """Something that a schedule fires."""


@app.task(base=LockedTask, lock=Lock("once", on_conflict=skip()))
def once() -> None:
    """Something that need not be done twice."""
