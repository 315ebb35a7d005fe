"""The time of an ensemble's leader, as an interval: what it wrote beside a change, and since when.

ZooKeeper answers no question for the time. But the leader notes its clock, in whole milliseconds,
with each change that it is asked for. So the moment of the note lies between the asking and the
answer, and the present is as much later as this machine's steady clock says.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...model.clock import Clock, steady
from ...model.lease import DRIFT
from ...model.mutex import new_mutex
from ..key_state import Interval

__all__ = ["FRESH", "USABLE", "LeaderClock"]

FRESH = 1.0
"""Seconds after which a note is too old to judge by it that a lease still lives: by then it is
known to 10 milliseconds each way. Longer keeps a key taken for longer; shorter costs a write."""
USABLE = 5.0
"""Seconds after which a note is too old to count the life of a new lease from it, which the width
of the interval prolongs: by 50 milliseconds. Longer saves an idle process a write."""


@dataclass(frozen=True)
class _Note:
    """What the leader's clock said, in milliseconds, and between which two moments of ours."""

    written: int
    sent: float
    heard: float

    def interval(self, now: float) -> Interval:
        least = self.written * 1000 + (now - self.heard) * 1e6 * (1 - DRIFT)
        most = (self.written + 1) * 1000 + (now - self.sent) * 1e6 * (1 + DRIFT)
        return int(least), int(most) + 1


class LeaderClock:
    """What this process knows of the leader's time. Threads may share it."""

    def __init__(self, clock: Clock = steady) -> None:
        self._clock = clock
        self._guard = new_mutex()
        self._note: _Note | None = None
        self._earliest = self._latest = 0
        """The two moments that were named last: none that is named after them is earlier. The
        present is not before what was past; and a lease must not seem to be taken in the future,
        though a narrower note would say so."""

    def now(self) -> float:
        """This machine's own clock."""
        return self._clock()

    def heard(self, written: int, sent: float) -> None:
        """Learn that the leader has noted `written` with a change that was asked for at `sent`."""
        with self._guard:
            now = self._clock()
            new, old = _Note(written, sent, now), self._note
            if old is not None:
                (lo, hi), (least, most) = new.interval(now), old.interval(now)
                if lo > most or least > hi:  # somebody has set the clock: what was named is void
                    self._earliest = self._latest = 0
                elif now - old.sent < FRESH / 2 and most - least <= hi - lo:
                    return  # the old one says it better
            self._note = new

    def forget(self) -> None:
        """The next leader may have another clock."""
        with self._guard:
            self._note, self._earliest, self._latest = None, 0, 0

    def age(self) -> float:
        """Seconds since the note."""
        note = self._note
        return float("inf") if note is None else self._clock() - note.sent

    def interval(self) -> Interval | None:
        """Between which two microseconds since 1970 the present lies; `None`: it is not known."""
        with self._guard:  # what is void must not be put back by who has just looked
            note = self._note
            if note is None:
                return None
            lo, hi = note.interval(self._clock())
            self._earliest = lo = max(lo, self._earliest)
            self._latest = hi = max(hi, self._latest)
            return lo, hi
