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

    _taken: dict[str, Any] | None = None
    """The app's schedule as it was taken; `None` once the first tick has looked at it again."""

    def setup_schedule(self) -> None:
        """Take the app's schedule, and Celery's own entries besides."""
        self._taken = dict(self.app.conf.beat_schedule)
        self.merge_inplace(self._taken)
        self.install_default_entries(self.schedule)  # merging would take them out again

    def tick(self, *args: Any, **options: Any) -> Any:
        """Take what has changed in the app's schedule since, before the first tick.

        Receivers of `beat_init` run when this scheduler is there already, such as Cronitor's.
        """
        if self._taken is not None:
            now, before, self._taken = self.app.conf.beat_schedule, self._taken, None
            self.update_from_dict({n: one for n, one in now.items() if before.get(n) != one})
        return super().tick(*args, **options)

    @property
    def info(self) -> Any:
        """The place of the last runs, for the banner."""
        return f"    . lock store -> {store_for_ticks(self.app).url}"
