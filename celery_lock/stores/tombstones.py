"""The record of a publication, and what is made of it: pure functions like the transitions.

A record says that a run of its publication has *ended*, and whether it is *completed*: all
that follows the run was out. Only that is a completion. Where a copy was refused since its
publication runs or has just ended, the record has the mark that it was *met*, and that alone is no
completion. All times are in microseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..model import ENDED_FOR, MET_FOR, Claim, End, Met
from .key_state import Interval, micro

__all__ = ["Tombstone", "completed", "ended", "judged", "met", "since"]


@dataclass(frozen=True)
class Tombstone:
    """The record of a publication; a time of 0: never."""

    told: int = 0
    """When it was completed: all that follows its run was out."""
    ended: int = 0
    """When its last run ended that was recorded."""
    met: bool = False
    """A copy of it was seen, which waits for its turn. Alone that is no completion."""
    until: int = 0
    """When it may be forgotten."""


def judged(record: Tombstone | None, claim: Claim, lo: int) -> Met | None:
    """What the record of its own publication means for a claim that may be a copy's."""
    if record is None or claim.copy_since is None:
        return None
    # an older one is of another message, which was sent with the same name
    first = since(claim.copy_since)
    if record.told and record.told >= first:
        return Met.DONE
    if record.ended and record.ended >= first and record.ended + micro(ENDED_FOR) > lo:
        return Met.ENDED
    return None


def met(record: Tombstone | None, clock: Interval) -> Tombstone:
    """Leave the mark of a copy that was refused since its publication runs, or has just ended."""
    before = record or Tombstone()
    return replace(before, met=True, until=_outliving(before, True, 0.0, clock))


def ended(record: Tombstone | None, end: End, in_time: bool, clock: Interval) -> Tombstone | None:
    """Record that a run has ended; `None`: nothing is to be recorded.

    A copy may have met another holder, and have left no mark, where the lease was not released in
    time.
    """
    before = record or Tombstone()
    seen = before.met or not in_time
    if end.if_met and not seen:
        return None
    return replace(before, ended=clock[1], until=_outliving(before, seen, end.remember, clock))


def completed(record: Tombstone | None, remember: float, clock: Interval) -> Tombstone:
    """Tell the completion of a publication."""
    before = record or Tombstone()
    return replace(before, told=clock[1], until=_outliving(before, before.met, remember, clock))


def since(mark: str) -> int:
    """Return the time of a mark; 0 for none, and for the mark of another kind of store."""
    return int(mark) if mark.isdecimal() and mark.isascii() else 0


def _outliving(before: Tombstone, seen: bool, remember: float, clock: Interval) -> int:
    return max(before.until, clock[1] + micro(max(remember, MET_FOR if seen else 0.0)))
