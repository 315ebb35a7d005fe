"""What a beat knows of one entry: its last run, and whether another beat is at the next."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import Record
from .progress import NOBODY, SAME, LastRun, Progress

__all__ = ["Known"]


@dataclass
class Known:
    """What one beat knows of one entry."""

    confirmed: LastRun
    """The last run that the store has confirmed, or that nobody else can know better."""
    stamp: str | None = None
    """Of the quiet record that the store is believed to have; `None`: none."""
    ahead: LastRun | None = None
    """The run that another beat has claimed, and has probably published."""
    watch: float | None = None
    """When to see whether it has: seconds since 1970 by the store's clock."""

    @property
    def last(self) -> LastRun:
        """The run that the entry goes on from, as far as is known."""
        return self.ahead or self.confirmed

    @property
    def is_sure(self) -> bool:
        """That run is confirmed."""
        return self.ahead is None

    def settle(self, last: LastRun) -> None:
        """This run is the last, and nobody is at the next."""
        self.confirmed, self.ahead, self.watch = last, None, None
        self.stamp = Progress(last).stamp

    def adopt(self, run: LastRun) -> None:
        """Take over what the entry has been told elsewhere, by a database, if it is later."""
        if run.is_after(self.last):
            self.confirmed, self.ahead, self.watch = run, None, None

    def follow(self, there: Progress, record: Record, *, by: str) -> None:
        """Believe an open claim of another beat than `by` until it has lived its time."""
        self.settle(there.last)
        claimed = there.claimed
        if claimed is None or claimed.by in (NOBODY, by):
            return
        self.ahead = LastRun(claimed.reach, there.last.count + 1)
        # the stamp that it will have: then the claim of the next tick is one call
        self.stamp = Progress(self.ahead).stamp
        self.watch = record.written + claimed.lives

    def is_past(self, there: Progress) -> bool:
        """The tick that is claimed there has been confirmed: the store has gone back in time."""
        return there.claimed is not None and there.claimed.reach <= self.confirmed.at + SAME
