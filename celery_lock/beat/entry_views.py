"""What one beat knows of its entries, and how it learns that from their records in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ..errors import StoreUnavailable
from .calls import Answer, Calls
from .entry_record import NOBODY, SAME, EntryRecord, LastRun
from .ticks import record_ttl

__all__ = ["EntryView", "EntryViews"]

DueAfter = Callable[[str, float], "float | None"]
"""The due time of an entry after a moment: seconds since 1970, `None` if nobody can tell."""

_TRIES = 4
"""How often the record of an entry is read anew when another beat writes it meanwhile."""


@dataclass
class EntryView:
    """What one beat knows of one entry."""

    confirmed: LastRun
    """The last run that the store has confirmed, or that no other beat can know better."""
    stamp: str | None = None
    """The stamp of the quiet record that the store is believed to have; `None`: no record."""
    ahead: LastRun | None = None
    """The run that another beat has claimed, and has probably published."""
    look_at: float | None = None
    """When to look whether that beat has confirmed: seconds since 1970 by the store's clock."""

    @property
    def last(self) -> LastRun:
        """The run that the entry goes on from, as far as this beat knows."""
        return self.ahead or self.confirmed

    @property
    def is_sure(self) -> bool:
        """Whether that run is confirmed."""
        return self.ahead is None

    def settle(self, last: LastRun) -> None:
        """Believe that this run is the last, and that no beat is at the next tick."""
        self.confirmed, self.ahead, self.look_at = last, None, None
        self.stamp = EntryRecord(last).stamp

    def take_over_run(self, run: LastRun) -> None:
        """Believe a run that the entry has from elsewhere, such as a database, if it is later."""
        if run.is_after(self.last):
            self.confirmed, self.ahead, self.look_at = run, None, None

    def follow(self, found: EntryRecord, *, by: str, until: float) -> None:
        """Believe another beat's open claim `until` its time is over; `by` is this beat."""
        self.settle(found.last)
        claim = found.claim
        if claim is None or claim.by in (NOBODY, by):
            return
        self.ahead = LastRun(claim.next_base, found.last.count + 1)
        # the stamp that the record will have: then the claim of the next tick is one call
        self.stamp = EntryRecord(self.ahead).stamp
        self.look_at = until

    def is_past(self, found: EntryRecord) -> bool:
        """Whether the tick claimed there is known as confirmed: the store went back in time."""
        return found.claim is not None and found.claim.next_base <= self.confirmed.at + SAME


class EntryViews:
    """The views that one beat has of its entries. `by` is who this beat is."""

    def __init__(self, calls: Calls, by: str) -> None:
        self._calls = calls
        self._by = by
        self._views: dict[str, EntryView] = {}

    def knows(self, name: str) -> bool:
        """Whether the record of an entry has been read."""
        return name in self._views

    def of(self, name: str) -> EntryView:
        """Return what is known of an entry."""
        return self._views[name]

    def take_over_run(self, name: str, run: LastRun) -> None:
        """Believe a run that an entry has from elsewhere, such as a database, if it is later."""
        self._views[name].take_over_run(self._not_ahead(run))

    def guess(self, name: str, run: LastRun) -> None:
        """Let an entry whose record cannot be read begin here, for this beat alone."""
        self._views[name] = EntryView(run)

    def forget_others(self, names: Iterable[str]) -> None:
        """Forget all entries but these."""
        these = set(names)
        self._views = {name: view for name, view in self._views.items() if name in these}

    def load(
        self, seeds: Mapping[str, LastRun | None], due_after: DueAfter = lambda name, run: None
    ) -> None:
        """Read the records of entries; an entry without one gets it, from the run that it knows.

        An entry that knows no run begins at the store's own time: the beat's clock may be wrong.
        `due_after` says the due time of an entry after a run, for people to read.
        Raises `StoreError`; the records that were read until then are known.
        """
        for name, answer in self._calls.read_all(list(seeds)):
            self._load(name, answer, seeds[name], due_after)

    def _load(self, name: str, answer: Answer, seed: LastRun | None, due_after: DueAfter) -> None:
        for _ in range(_TRIES):
            if answer.entry is not None:
                self._believe(name, answer, answer.entry, seed)
                return
            now = self._calls.clock.now()
            run = LastRun(now, 0, guessed=True) if seed is None else self._not_ahead(seed)
            due = due_after(name, run.at)
            fresh = EntryRecord(run, next_due=due)
            following = None if due is None else due - now
            answer = self._calls.change(name, answer.stamp, fresh, ttl=record_ttl(following))
            if answer.done:
                self._views[name] = EntryView(run, fresh.stamp)
                return
        raise StoreUnavailable(self._calls.url, f"the record of {name!r} changes all the time")

    def _believe(
        self, name: str, answer: Answer, record: EntryRecord, seed: LastRun | None
    ) -> None:
        """Go by a record that was found, unless the entry knows of a later run."""
        view = self._views[name] = EntryView(record.last)
        ttl = 0.0 if record.claim is None else record.claim.ttl
        view.follow(record, by=self._by, until=answer.written + ttl)
        if seed is not None:
            self.take_over_run(name, seed)

    def _not_ahead(self, run: LastRun) -> LastRun:
        """Bring a run that a fast clock noted back to the store's time: it would be waited for."""
        return replace(run, at=min(run.at, self._calls.clock.now()))
