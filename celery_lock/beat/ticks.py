"""Ticks, as the ledger and a scheduler speak of them: wished for, granted, later, moved."""

from __future__ import annotations

from dataclasses import dataclass

from .progress import LastRun

__all__ = [
    "FRESH",
    "LONGEST",
    "SHORTEST",
    "Later",
    "Moved",
    "Tick",
    "Wish",
    "again",
    "kept",
    "life",
]

SHORTEST, LONGEST = 1.0, 10.0
"""Seconds that a claim lives at least and at most. Shorter: a beat that is slow for a moment is
taken for dead. Longer: a tick whose beat has died waits for longer."""

FRESH = 0.8
"""The part of a claim's life in which its tick may be published: a beat that was paused for longer
leaves it to whoever takes over."""

_DAY = 86_400.0

KEPT = 400 * _DAY
"""Seconds that a record lives at most without a change. Longer: entries that are gone are kept for
nothing. Shorter than an interval: beats that start anew in between begin it anew, and it never
ends."""


@dataclass(frozen=True)
class Wish:
    """A tick that a beat would publish."""

    due: float
    """The slot, in seconds since 1970."""
    reach: float
    """From where the schedule goes on then."""
    lives: float
    """Seconds that the claim lives unconfirmed."""
    following: float = 0.0
    """Seconds until the slot after it."""

    @property
    def keep(self) -> float:
        """Seconds that the record outlives this change."""
        return kept(self.following)


@dataclass
class Tick:
    """A tick that this beat publishes."""

    name: str
    last: LastRun
    """The run that it follows."""
    due: float
    reach: float
    stamp: str | None
    """Of the record with the claim; `None`: it was not claimed, for the store is down."""
    until: float
    """When it is too old to be published, by the steady clock."""
    keep: float
    again: float = 1.0
    """Seconds after which any beat may try it, should its publishing fail."""
    tries: int = 1
    then: float | None = None
    """The slot after it, where the schedule tells: for people to read."""
    published: bool | None = False
    """`None`: it has begun, and nobody can say yet."""

    @property
    def run(self) -> LastRun:
        """What the last run becomes with it."""
        return LastRun(self.reach, self.last.count + 1)


@dataclass(frozen=True)
class Later:
    """Nothing to publish: look again after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Moved:
    """Another beat is further than was known here: think again."""


def life(until_next: float) -> float:
    """Return how many seconds an unconfirmed claim lives: until the next slot, within bounds."""
    return min(max(until_next, SHORTEST), LONGEST)


def kept(following: float | None) -> float:
    """Return how many seconds a record outlives a change: far more than its entry's pauses.

    `following`: seconds until the next slot, `None` if the schedule does not tell.
    """
    return KEPT if following is None else min(KEPT, 30 * _DAY + 4 * max(0.0, following))


def again(lives: float, tries: int) -> float:
    """Return after how many seconds a tick whose publishing failed is tried again.

    After one, or sooner where slots are dense; then twice as long each time, up to the life of a
    claim: what never succeeds should not fill the log.
    """
    return min(lives, min(1.0, lives / 4) * 2.0 ** min(tries - 1, 8))
