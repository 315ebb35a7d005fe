"""A scheduler as somebody writes it for himself, in twenty lines: the schedule is in memory."""

from __future__ import annotations

from typing import Any

from celery.beat import Scheduler

__all__ = ["OwnScheduler"]


class OwnScheduler(Scheduler):
    """Reads the setting once, and forgets everything when it ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.own: dict[str, Any] = {}
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        self.merge_inplace(self.app.conf.beat_schedule)
        self.install_default_entries(self.own)

    def get_schedule(self) -> dict[str, Any]:
        return self.own

    def set_schedule(self, schedule: dict[str, Any]) -> None:
        self.own = schedule

    schedule = property(get_schedule, set_schedule)
