"""The scheduler that needs no file and no database: `celery_lock.beat:LockedScheduler`."""

from __future__ import annotations

from typing import Any

from celery.beat import Scheduler

from .begin import store_for_ticks
from .mixin import LockedSchedulerMixin

__all__ = ["LockedScheduler"]


class LockedScheduler(LockedSchedulerMixin, Scheduler):
    """Runs `beat_schedule` in as many beats as there are, each tick once.

    `celery -A app beat -S celery_lock.beat:LockedScheduler`. The last runs are in the lock store,
    so the beat needs no schedule file and no volume for one.
    """

    def setup_schedule(self) -> None:
        """Take the app's schedule, and Celery's own entries besides."""
        self.merge_inplace(self.app.conf.beat_schedule)
        self.install_default_entries(self.schedule)  # merging would take them out again

    @property
    def info(self) -> Any:
        """The place of the last runs, for the banner."""
        return f"    . lock store -> {store_for_ticks(self.app).url}"
