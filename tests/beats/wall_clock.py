"""A schedule of a user's own: on each second of the clock that a number divides."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from celery.schedules import BaseSchedule, schedstate

__all__ = ["OnTheSecond"]


class OnTheSecond(BaseSchedule):
    """A crontab with seconds."""

    def __init__(self, seconds: float, nowfun: Any = None, app: Any = None) -> None:
        super().__init__(nowfun=nowfun, app=app)
        self.seconds = seconds

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        """From now to the due time after the last run; negative if it has gone by."""
        return timedelta(seconds=self._after(last_run_at) - self.now().timestamp())

    def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
        """Whether that due time has come, and the seconds to the next one."""
        remaining = self.remaining_estimate(last_run_at).total_seconds()
        if remaining > 0:
            return schedstate(False, remaining)
        now = self.now()
        return schedstate(True, self._after(now) - now.timestamp())

    def _after(self, when: datetime) -> float:
        return (math.floor(when.timestamp() / self.seconds) + 1) * self.seconds

    def __reduce__(self) -> Any:
        return type(self), (self.seconds, self.nowfun)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OnTheSecond) and other.seconds == self.seconds

    def __hash__(self) -> int:
        return hash(self.seconds)

    def __repr__(self) -> str:
        return f"<on each second that {self.seconds:g} divides>"
