"""What stands in the store of each entry of a schedule, and what that means at this moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..beat.begin import space_of
from ..beat.progress import NOBODY, Claimed, LastRun, Progress
from ..beat.ticks import SHORTEST
from ..model import LockStore, Record

__all__ = ["BATCH", "Seen", "declared", "seen"]

BATCH = 500
"""Records that are read in a call."""


@dataclass(frozen=True)
class Seen:
    """One entry, as the store showed it."""

    name: str
    declared: bool
    """It stands in `beat_schedule`."""
    record: Record | None
    progress: Progress | None
    """What the record says; `None`: there is none, or it is none of ours."""
    now: float
    """The store's time, in seconds since 1970."""

    @property
    def next(self) -> float | None:
        """The slot after the last run, as the beat saw it that wrote it down."""
        return None if self.progress is None else self.progress.then

    @property
    def state(self) -> str:
        """In one word, what its record says."""
        if self.record is None:
            return "unread"
        if self.progress is None:
            return "unreadable"
        if self.claim is None:
            return "overdue" if self.late else "waiting"
        if self.late:
            return "overdue"
        return "claimed" if self.claim.by != NOBODY else "given up"

    @property
    def last(self) -> LastRun | None:
        """The last confirmed run, or from when it is counted."""
        return None if self.progress is None else self.progress.last

    @property
    def claim(self) -> Claimed | None:
        """The open claim."""
        return None if self.progress is None else self.progress.claimed

    @property
    def until(self) -> float | None:
        """When another beat may publish the tick that is claimed."""
        if self.claim is None or self.record is None:
            return None
        return self.record.written + self.claim.lives

    @property
    def late(self) -> float:
        """Seconds since a beat should have published its tick, or taken it over; 0: it is not.

        One second is allowed for: a beat that lives needs less.
        """
        should = self.next if self.until is None else self.until
        late = 0.0 if should is None else self.now - should
        return late if late > SHORTEST else 0.0


def declared(app: Any) -> dict[str, Any]:
    """Return the entries that the app's settings name, as they stand there."""
    schedule = app.conf.beat_schedule
    if not isinstance(schedule, Mapping):
        return {}
    return {str(name): entry for name, entry in schedule.items()}  # it may number its entries


def seen(app: Any, store: LockStore, names: Iterable[str]) -> list[Seen]:
    """Return what the store knows of these entries. Raises `StoreError`."""
    named, entries, found = sorted(names), declared(app), []
    for start in range(0, len(named), BATCH):
        batch = named[start : start + BATCH]
        records, now = store.records(space_of(app), batch)
        for name, record in zip(batch, records, strict=True):
            progress = Progress.read(record)
            found.append(Seen(name, name in entries, record, progress, now))
    return found
