"""The schedule that all beats have: each entry once as a locked task and once as a plain one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celery.schedules import crontab

from tests.beats.wall_clock import OnTheSecond

__all__ = ["ENTRIES", "GRID", "ONLY", "Entry", "beat_schedule", "entries_of_this_process"]

ONLY = "TEST_ENTRIES"
"""The names of the entries that this process has, with commas."""


@dataclass(frozen=True)
class Entry:
    """One entry of the schedule."""

    name: str
    every: float
    """Seconds between two due times."""
    locked: bool = False
    by_the_clock: bool = False
    """Its due times are those of the clock on the wall. Else they count from the first run."""

    @property
    def task(self) -> str:
        """The task that it fires; its one argument is the entry's name."""
        return "beats.locked" if self.locked else "beats.plain"

    @property
    def schedule(self) -> Any:
        """As Celery wants it."""
        if not self.by_the_clock:
            return self.every
        return crontab() if self.every == 60 else OnTheSecond(self.every)

    @property
    def claim_life(self) -> float:
        """Seconds after which an unconfirmed claim may be taken over."""
        return min(max(self.every, 1.0), 10.0)


ENTRIES = tuple(
    Entry(f"{name}-{'locked' if locked else 'plain'}", every, locked, by_the_clock)
    for name, every, by_the_clock in (("e1", 1.0, False), ("e2", 2.0, False), ("cron", 60.0, True))
    for locked in (True, False)
)

GRID = Entry("grid", 2.0, by_the_clock=True)
"""What a crontab does, and one need not wait for a minute."""


def beat_schedule(entries: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """As Celery's setting of that name wants it."""
    return {
        entry.name: {"task": entry.task, "schedule": entry.schedule, "args": (entry.name,)}
        for entry in entries
    }


def entries_of_this_process() -> list[Entry]:
    """Those that it was started for."""
    names = os.environ.get(ONLY, "").split(",")
    return [entry for entry in (*ENTRIES, GRID) if entry.name in names]
