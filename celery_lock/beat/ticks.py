"""Ticks, as the ledger and a scheduler speak of them: requested, granted, later, stale."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from .entry_record import LastRun

__all__ = [
    "FRESH",
    "LONGEST",
    "SHORTEST",
    "RetryAfter",
    "Sending",
    "Stale",
    "Tick",
    "TickRequest",
    "claim_ttl",
    "pause_after_failure",
    "record_ttl",
]

SHORTEST, LONGEST = 1.0, 10.0
"""Seconds that a claim lives at least and at most. Shorter: a beat that is slow for a moment is
taken for dead. Longer: a tick whose beat has died waits for longer."""

FRESH = 0.8
"""The part of a claim's ttl in which its tick may be published: a beat that was paused for longer
leaves the tick to the beat that takes it over."""

_LATE = 0.3, 1.0
"""A tenth of an interval, with these bounds in seconds: so late may its tick be and still keep its
phase. More: after an outage it fires twice within one interval. Less: a busy machine puts every
tick off a little further."""

_LETTERS = 8
"""So much of a message's name is written down: 48 bits tell a tick's messages apart."""

_DAY = 86_400.0

LONGEST_RECORD = 400 * _DAY
"""Seconds that a record lives at most without a change. Longer: records of entries that are gone
take up memory for nothing. Shorter than an interval: beats that start anew in between begin the
interval anew, and it never ends."""


@dataclass(frozen=True)
class TickRequest:
    """A tick that a beat asks to publish."""

    due: float
    """The due time, in seconds since 1970."""
    next_base: float
    """The moment that the schedule counts on from after the tick."""
    claim_ttl: float
    """Seconds that the claim lives unconfirmed."""
    following: float = 0.0
    """Seconds until the due time after this one."""
    every: float = 0.0
    """The seconds of an interval; 0 for all other schedules."""

    @property
    def record_ttl(self) -> float:
        """Seconds that the record lives after a change for this tick."""
        return record_ttl(self.following)


class Sending(Enum):
    """How far the publishing of a granted tick has come."""

    NOT_BEGUN = "not begun"
    BEGUN = "begun"
    """The broker may have the message, and nobody can say yet."""
    DONE = "done"


@dataclass
class Tick:
    """A tick that this beat was granted, and publishes."""

    name: str
    """The name of its entry."""
    last: LastRun
    """The run that the tick follows."""
    due: float
    next_base: float
    stamp: str | None
    """The stamp of the record with this beat's claim; `None`: the tick was not claimed, for the
    store is down."""
    until: float
    """When the tick is too old to be published, by the steady clock."""
    record_ttl: float
    retry_in: float = 1.0
    """Seconds after which any beat may try the tick again, should its publishing fail."""
    tries: int = 1
    due_after: float | None = None
    """The due time after its own, where the schedule says so and is no interval."""
    sending: Sending = Sending.NOT_BEGUN
    in_flight: bool = False
    """One of its messages is being sent."""
    sent: set[str] = field(default_factory=set)
    """The first letters of the names of its messages that were sent, by any beat."""
    written: int = 0
    """How many of these the store knows of."""
    written_at: float = 0.0
    """When the store was told, by the steady clock."""
    failed: bool = False
    """A message of it could not be sent: it is to be tried again."""
    was_given_up: bool = False
    """The beat before this one could not publish all of it."""
    claim_ttl: float = SHORTEST
    every: float = 0.0
    first_sent: float | None = None
    """When its first message was sent: seconds since 1970 by the store's clock."""

    def has_sent(self, name: str) -> bool:
        """Whether its message of this name was sent."""
        return name[:_LETTERS] in self.sent

    def note_sent(self, name: str, now: float) -> None:
        """Note that its message of this name was sent."""
        self.sent.add(name[:_LETTERS])
        if self.first_sent is None:
            self.first_sent = now

    @property
    def run(self) -> LastRun:
        """What the entry's last run becomes with the confirm.

        An interval keeps its phase, and begins anew after a tick that was late, as Celery's does:
        else the next one would come right behind it.
        """
        at = self.next_base
        if self.every and self.stamp is not None and self.first_sent is not None:
            # a beat that died may have sent it in time: that is no reason to leave the phase
            dead = 0 if self.was_given_up else self.tries - 1
            late = self.first_sent - self.due - dead * self.claim_ttl
            if late > min(_LATE[1], max(_LATE[0], self.every / 10)):
                at = max(at, self.first_sent)
        return LastRun(round(at, 6), self.last.count + 1)

    @property
    def next_due(self) -> float | None:
        """The due time after this one, where the schedule says so: for people to read."""
        return round(self.run.at + self.every, 6) if self.every else self.due_after


@dataclass(frozen=True)
class RetryAfter:
    """There is nothing to publish: ask again after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Stale:
    """Another beat is further than this one knew: decide again."""


def claim_ttl(until_next: float) -> float:
    """Return how many seconds a claim lives unconfirmed: until the next due time, within bounds."""
    return min(max(until_next, SHORTEST), LONGEST)


def record_ttl(following: float | None) -> float:
    """Return how many seconds a record lives after a change: far more than its entry's pauses.

    `following`: seconds until the next due time, `None` if the schedule does not say.
    """
    if following is None:
        return LONGEST_RECORD
    return min(LONGEST_RECORD, 30 * _DAY + 4 * max(0.0, following))


def pause_after_failure(claim_ttl: float, tries: int) -> float:
    """Return after how many seconds a tick whose publishing failed is tried again.

    The first pause is a second, or less where due times are dense; each further one is twice as
    long, up to the ttl of a claim: what never succeeds should not fill the log.
    """
    return min(claim_ttl, min(1.0, claim_ttl / 4) * 2.0 ** min(tries - 1, 8))
