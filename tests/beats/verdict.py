"""Judges a run: which ticks were fired, which twice, which not, and what of that is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.beats.entries import ENTRIES, Entry
from tests.beats.history import History, Publishing, Run
from tests.beats.losses import LATE, TakeOver, in_outage, lost, merged, take_overs

__all__ = ["Duplicate", "OfEntry", "Verdict", "judge"]

LATEST = 0.28
"""Seconds that a due time may be late and its interval keep its phase, nearly."""
SAME = 1e-4
"""Seconds by which two numbers for one moment differ."""
DRIFT = 0.05
"""Seconds by which due times may stand apart from their grid. They are computed, not measured."""


@dataclass(frozen=True)
class Duplicate:
    """A due time that was run more than once."""

    entry: str
    due: float
    task_ids: tuple[str, ...]
    why: str
    """What cut a beat off between publish and confirm; empty: nothing did."""

    @property
    def same_id(self) -> bool:
        """All of them are copies of one message."""
        return len(set(self.task_ids)) == 1


@dataclass(frozen=True)
class OfEntry:
    """What came of one entry."""

    entry: Entry
    runs: int
    fired: int
    """Due times that were run."""
    due_times: int
    duplicates: tuple[Duplicate, ...]
    missed: tuple[float, ...]
    """Due times that nothing excuses."""
    collapsed: tuple[float, ...]
    """Due times of an outage, for which the one after it stands."""
    merged: tuple[float, ...]
    """Due times that went by while the takers of the one before were lost twice."""
    drift: float
    """How far due times are spread about their grid, in seconds; an interval's only."""
    lateness: tuple[float, ...]
    """Seconds from due to sent, of those outside outages."""


@dataclass(frozen=True)
class Verdict:
    """What came of a run."""

    entries: tuple[OfEntry, ...]
    take_overs: tuple[TakeOver, ...]
    kills: int
    injected: int
    pauses: int
    outages: int
    wrong: tuple[str, ...]


def judge(history: History, entries: Sequence[Entry] = ENTRIES) -> Verdict:
    """Judge all entries."""
    found = tuple(_of(entry, history) for entry in entries)
    takes = tuple(take_overs(history, entries))
    wrong = [line for one in found for line in _wrong(one)]
    wrong += [
        f"{take.entry}: a tick was taken over {take.seconds:.1f} s after its beat was lost"
        for take in takes
        if take.late
    ]
    by_itself = [end for end in history.ends if end.how == "ended by itself"]
    wrong += [f"{end.beat} ended by itself: {end.more[-300:]}" for end in by_itself]
    return Verdict(
        entries=found,
        take_overs=takes,
        kills=sum(end.how == "killed" for end in history.ends),
        injected=sum(end.how == "injected" for end in history.ends),
        pauses=len(history.pauses),
        outages=len(history.outages),
        wrong=tuple(wrong),
    )


def _wrong(one: OfEntry) -> Iterable[str]:
    name = one.entry.name
    for duplicate in one.duplicates:
        if one.entry.locked:
            yield f"{name}: a locked task ran twice for {duplicate.due:.3f}"
        elif not duplicate.same_id:
            yield f"{name}: {len(set(duplicate.task_ids))} ids for {duplicate.due:.3f}"
        elif not duplicate.why:
            yield f"{name}: sent twice for {duplicate.due:.3f}, and no beat was lost there"
    if one.missed:
        first = ", ".join(f"{due:.3f}" for due in one.missed[:5])
        yield f"{name}: {len(one.missed)} due times missed: {first}"
    if one.drift > DRIFT:
        yield f"{name}: due times are spread over {one.drift:.3f} s"


# -- one entry ----------------------------------------------------------------------------------


def _of(entry: Entry, history: History) -> OfEntry:
    runs = [run for run in history.runs if run.entry == entry.name]
    grid = _Grid(entry, runs, history)
    by_due: dict[float, list[Run]] = {}
    for run in runs:
        by_due.setdefault(grid.nearest(run.due), []).append(run)
    counted = grid.counted()
    out = [due for due in counted if due not in by_due]
    away = (*history.outages, *history.stills)
    collapsed = [due for due in out if in_outage(due, entry, away)]
    rest = [due for due in out if due not in collapsed]
    into_next = [due for due in rest if merged(due, entry, history)]
    return OfEntry(
        entry=entry,
        runs=len(runs),
        fired=len(counted) - len(out),
        due_times=len(counted),
        duplicates=tuple(
            _duplicate(entry, some, history) for some in by_due.values() if len(some) > 1
        ),
        missed=tuple(due for due in rest if due not in into_next),
        collapsed=tuple(collapsed),
        merged=tuple(into_next),
        drift=grid.drift([run.due for run in runs]),
        lateness=tuple(
            min(run.sent - run.due for run in some)
            for due, some in by_due.items()
            if not in_outage(due, entry, history.outages)
        ),
    )


class _Grid:
    """The due times of an entry; an interval's begin anew behind one that was sent late."""

    def __init__(self, entry: Entry, runs: Sequence[Run], history: History) -> None:
        self.entry = entry
        first = min((r.due for r in runs), default=history.began)
        zero = 0.0 if entry.by_the_clock else first
        self._parts = [_Part(zero, math.inf)]
        if not entry.by_the_clock:
            self._begin_anew(history.publishings)
        self._from = history.began if entry.by_the_clock else max(zero, history.began)
        # what was due last may be anybody's claim still
        self._until = history.ended - entry.claim_life - LATE

    def _begin_anew(self, publishings: Sequence[Publishing]) -> None:
        """Begin a grid where a record says that the entry counts from a tick that was late.

        The runs do not say so: a beat that died may have sent a tick in time, and the one that took
        it over late has confirmed it.
        """
        ours = [one for one in publishings if one.entry == self.entry.name and one.due is not None]
        for one in ours:
            after = one.after
            if after is None:
                continue
            last = max((p.due for p in ours if p.due and p.due < after + SAME), default=after)
            senders = (p for p in ours if p.due == last)
            if after - last <= LATEST or not any(_may_have_sent(p, after) for p in senders):
                continue
            # one that was late by about an interval begins a grid close to the old one
            if abs(after - self.nearest(after)) > SAME:
                self._parts[-1].last = last
                self._parts.append(_Part(after + self.entry.every, math.inf))

    def nearest(self, due: float) -> float:
        """The due time that is nearest."""
        zero = next((p.zero for p in self._parts[::-1] if p.zero <= due), self._parts[0].zero)
        return self._at(zero, round((due - zero) / self.entry.every))

    def counted(self) -> list[float]:
        """All due times from the first to the last one that had its time."""
        found = []
        for part in self._parts:
            first = math.ceil((max(self._from, part.zero) - part.zero) / self.entry.every)
            end = min(self._until, part.last + DRIFT)
            last = math.floor((end - part.zero) / self.entry.every)
            found += [self._at(part.zero, number) for number in range(first, last + 1)]
        return found

    def drift(self, dues: Sequence[float]) -> float:
        """How far due times are spread about the grid."""
        if self.entry.by_the_clock or not dues:
            return 0.0
        apart = [due - self.nearest(due) for due in dues]
        return max(apart) - min(apart)

    def _at(self, zero: float, number: int) -> float:
        return zero + number * self.entry.every


@dataclass
class _Part:
    """A part of a grid."""

    zero: float
    last: float


def _may_have_sent(one: Publishing, at: float) -> bool:
    """Whether a beat may have sent a tick at that moment: between its claim and the publish."""
    return one.at - DRIFT <= at <= (math.inf if one.published is None else one.published) + DRIFT


def _duplicate(entry: Entry, runs: Sequence[Run], history: History) -> Duplicate:
    cut = []
    for one in history.publishings:
        if one.entry != entry.name or one.due is None or not one.begun:
            continue
        if any(abs(one.due - run.due) < DRIFT for run in runs):
            how = lost(one, entry, history)
            if how:
                cut.append(how[0])
    ids = tuple(run.task_id for run in runs)
    # one copy more for each beat that was cut off
    why = ", ".join(cut) if len(cut) >= len(runs) - 1 else ""
    return Duplicate(entry.name, min(run.due for run in runs), ids, why)
