"""A schedule in seconds of the wall clock: Celery's crontab counts minutes, too long for a play."""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import Any

from celery.schedules import schedstate, schedule

LATE = float(os.environ.get("BEAT_CLOCK_LATE", "0"))
"""Seconds by which this machine's clock is behind."""


class WallClock(schedule):
    """Fires each time that `run_every` divides the time of this machine's own clock."""

    def is_due(self, last_run_at: datetime) -> Any:
        """Whether such a time has come since, and the seconds to the next."""
        seconds = self.seconds
        now = time.time() - LATE
        latest = now // seconds
        return schedstate(
            is_due=(last_run_at.timestamp() - LATE) // seconds < latest,
            next=(latest + 1) * seconds - now,
        )
