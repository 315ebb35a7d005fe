"""The Celery app: a job that each beat sends, and that runs once for each due time all the same."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

from celery import Celery

from celery_lock import Lock, LockedTask, skip

from .wall_clock import WallClock

EVERY = 5
"""Seconds between two runs: a job of every night would say crontab(hour=3, minute=0)."""

app = Celery("scheduled_job")
app.conf.beat_schedule = {
    "report": {
        "task": "examples.scheduled_job.app.report",
        "schedule": WallClock(timedelta(seconds=EVERY)),
        "args": [os.environ.get("BEAT_NAME", "")],
        "options": {"expires": 2},  # who has waited longer in the queue does not start any more
    }
}


# at_least: longer than the messages of one due time can be apart as they start, which is 1.5 s
# between the clocks here and the 2 s that one may wait; and shorter than the time to the next.
@app.task(base=LockedTask, lock=Lock("report", at_least=3.75, on_conflict=skip()))
def report(beat: str) -> None:
    """Note the run. The body ends at once, and the key stays taken for `at_least`."""
    with Path(os.environ["SCHEDULED_JOB_RUNS"]).open("a", encoding="utf-8") as runs:
        runs.write(f"{time.time()} {beat}\n")
