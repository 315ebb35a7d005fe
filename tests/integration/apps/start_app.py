"""One locked task, and settings that come from the environment as JSON."""

from __future__ import annotations

import json
import os
import sys

from celery import Celery

from celery_lock import Lock, LockedTask, wait

for name in os.environ.get("TEST_WITHOUT", "").split():
    sys.modules[name] = None  # type: ignore[assignment]  # as if it were not installed

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
