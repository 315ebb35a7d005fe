"""What a beat is to do about a record that it has found: one table, without any effect."""

from __future__ import annotations

from dataclasses import dataclass

from .calls import Answer
from .entry_record import NOBODY, EntryRecord, LastRun, OpenClaim
from .entry_views import EntryView
from .ticks import FRESH

__all__ = ["GoOn", "Move", "Publish", "TakeOver", "TrustMemory", "Wait", "next_move"]


@dataclass(frozen=True)
class TrustMemory:
    """The store has nothing newer, has lost the record, or has gone back in time."""


@dataclass(frozen=True)
class GoOn:
    """Another beat has confirmed a later run."""

    last: LastRun


@dataclass(frozen=True)
class Publish:
    """The claim is this beat's own; the answer to it was lost."""

    record: EntryRecord
    claim: OpenClaim


@dataclass(frozen=True)
class Wait:
    """The claim has so many seconds left: its beat may be publishing."""

    record: EntryRecord
    seconds: float


@dataclass(frozen=True)
class TakeOver:
    """The claim has lived its time: this beat may claim the same tick."""

    record: EntryRecord
    claim: OpenClaim


Move = TrustMemory | GoOn | Publish | Wait | TakeOver


def next_move(answer: Answer, view: EntryView, *, by: str, sure_for: float) -> Move:
    """Return what to do about the record in an answer.

    =================================================  ===========
    the record                                         the move
    =================================================  ===========
    none, or another program's                         TrustMemory
    quiet, and its run is no later than this beat's    TrustMemory
    quiet, with a later run                            GoOn
    with a claim that this beat knows to be confirmed  TrustMemory
    with this beat's own claim, while it is fresh      Publish
    with a claim that has time left                    Wait
    with any other claim                               TakeOver
    =================================================  ===========

    Args:
        view: what this beat knows of the entry.
        by: who this beat is.
        sure_for: seconds since which no confirm of another beat can have been lost.
    """
    record = answer.entry
    if record is None:
        return TrustMemory()
    claim = record.claim
    if claim is None:
        return GoOn(record.last) if record.last.is_after(view.last) else TrustMemory()
    if view.is_past(record):
        return TrustMemory()
    if claim.by == by and answer.age < FRESH * claim.ttl:
        return Publish(record, claim)
    left = claim.ttl - answer.age
    if claim.by not in (NOBODY, by):
        # the beat that has published the tick may not have been able to confirm it yet
        left = max(left, claim.ttl - sure_for)
    return Wait(record, left) if left > 0 else TakeOver(record, claim)
