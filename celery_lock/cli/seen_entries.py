"""An entry of a schedule as the store shows it, and what its record means at this moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..beat.begin import space_of
from ..beat.entry_record import NOBODY, EntryRecord, LastRun, OpenClaim
from ..beat.ticks import SHORTEST
from ..model import Record, RecordStore

__all__ = ["BATCH", "SeenEntry", "declared_entries", "read_entries"]

BATCH = 500
"""Records that are read in a call."""


@dataclass(frozen=True)
class SeenEntry:
    """One entry, as the store showed it."""

    name: str
    declared: bool
    """The entry is in `beat_schedule`."""
    record: Record | None
    entry: EntryRecord | None
    """What the record says; `None`: there is no record, or another program has written it."""
    now: float
    """The store's time, in seconds since 1970."""

    @property
    def exists(self) -> bool:
        """Whether the settings name the entry, or a beat has a record of it."""
        return self.declared or self.record is not None

    @property
    def next_due(self) -> float | None:
        """The due time after the last run, as the beat saw it that wrote the record."""
        return None if self.entry is None else self.entry.next_due

    @property
    def state(self) -> str:
        """What the record says, in one word."""
        if self.record is None:
            return "unread"
        if self.entry is None:
            return "unreadable"
        if self.claim is None:
            return "overdue" if self.late else "waiting"
        if self.late:
            return "overdue"
        return "claimed" if self.claim.by != NOBODY else "given up"

    @property
    def last(self) -> LastRun | None:
        """The last confirmed run, or the moment from which the entry is counted."""
        return None if self.entry is None else self.entry.last

    @property
    def claim(self) -> OpenClaim | None:
        """The open claim."""
        return None if self.entry is None else self.entry.claim

    @property
    def until(self) -> float | None:
        """When another beat may publish the tick that is claimed."""
        if self.claim is None or self.record is None:
            return None
        return self.record.written + self.claim.ttl

    @property
    def late(self) -> float:
        """Seconds since a beat should have published the tick, or taken it over; 0: none yet.

        One second is allowed for: a beat that lives needs less.
        """
        should = self.next_due if self.until is None else self.until
        late = 0.0 if should is None else self.now - should
        return late if late > SHORTEST else 0.0


def declared_entries(app: Any) -> dict[str, Any]:
    """Return the entries that the app's settings name, as they are written there."""
    schedule = app.conf.beat_schedule
    if not isinstance(schedule, Mapping):
        return {}
    return {str(name): entry for name, entry in schedule.items()}  # it may number its entries


def read_entries(app: Any, store: RecordStore, names: Iterable[str]) -> list[SeenEntry]:
    """Return what the store knows of these entries. Raises `StoreError`."""
    named, entries, found = sorted(names), declared_entries(app), []
    for start in range(0, len(named), BATCH):
        batch = named[start : start + BATCH]
        records, now = store.records(space_of(app), batch)
        for name, record in zip(batch, records, strict=True):
            found.append(SeenEntry(name, name in entries, record, EntryRecord.read(record), now))
    return found
