"""One entry at one moment, and what follows from it: values and pure functions, without effects."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from .due_times import DueTimes
from .entry_record import SAME, LastRun
from .ticks import LONGEST, Tick, TickRequest, claim_ttl

__all__ = ["Situation", "Step", "is_old"]

_OLD = 2 * LONGEST
"""Seconds after which a tick that is taken over may be of the past: by then two beats have had
their turn. Fewer: a tick merges with the next one though a beat was there. More: after an outage an
entry runs for a due time that nobody waits for, and then for the latest."""


class Step(Enum):
    """What a beat does for an entry."""

    SLEEP = "sleep"
    """Nothing is due."""
    CLAIM = "claim"
    """Ask the ledger for the tick that is due."""
    LOOK = "look"
    """Look first whether another beat has confirmed the tick that it had claimed."""


@dataclass(frozen=True)
class Situation:
    """What an entry has said when it was asked, and what this beat knew of its last run then."""

    now: float
    """The moment, in seconds since 1970 by the store's clock."""
    due: bool
    """The entry says that it is due."""
    delay: float
    """Seconds after which the entry wants to be asked again."""
    last: LastRun
    """The run that the entry goes on from."""
    is_sure: bool
    """That run is confirmed."""
    look_in: float | None
    """Seconds until another beat's claim is to be looked at; `None`: there is none."""
    due_times: DueTimes
    """The due times of the entry's schedule, at that moment."""
    start: float | None
    """The moment before which the entry is never due; `None`: there is none."""
    counts_runs: bool
    """The entry ends by its count: it is to fire once."""

    @property
    def step(self) -> Step:
        """What to do.

        =======  =====================================================  =====
        due?                                                            step
        =======  =====================================================  =====
        no       another beat's claim is to be looked at now            LOOK
        no       otherwise                                              SLEEP
        yes      the entry fires once, and its last run is not sure     LOOK
        yes      otherwise                                              CLAIM
        =======  =====================================================  =====
        """
        if not self.due:
            return Step.LOOK if self.look_in == 0.0 else Step.SLEEP
        return Step.LOOK if self.counts_runs and not self.is_sure else Step.CLAIM

    @property
    def sleep(self) -> float:
        """Seconds until the entry has to be asked again, if nothing is due."""
        return self.delay if self.look_in is None else min(self.delay, self.look_in)

    @cached_property
    def request(self) -> TickRequest:
        """What the ledger is asked for: the tick of the latest due time."""
        due = self.due_times.latest(self.last.at, self.start)
        next_base = self.due_times.next_base(due, self.last.at)
        following = self._until_next(next_base, self.now)
        every = self.due_times.interval
        return TickRequest(due, next_base, claim_ttl(following), following, every)

    def delay_after(self, tick: Tick, now: float) -> float:
        """Return in how many seconds from `now` the entry is due again, after this tick."""
        if self.due and not self.due_times.every and tick.due < self.request.due:
            return 0.0  # an older tick, and the one that is due comes next
        return self._until_next(tick.next_base, now)

    def next_due(self, tick: Tick) -> float | None:
        """Return the due time after a tick; an entry that runs once has none."""
        due = self.due_times.after(tick.next_base)
        return due if due is not None and due > tick.due else None

    def has_outlived(self, tick: Tick) -> bool:
        """Whether the entry would not publish a tick any more, since it would publish a later one.

        Then there is one run for all that was missed, for the latest due time, unless a starting
        deadline forbids that one too.
        """
        return not self.due or self.request.due > tick.due + SAME

    def _until_next(self, base: float, now: float) -> float:
        """Return the seconds until the due time after `base`.

        The entry knows best, except for an interval, where it answers with the whole of it: that
        would lose the phase.
        """
        after = self.due_times.after(base) if self.due_times.every else None
        return self.delay if after is None else max(0.0, after - now)


def is_old(tick: Tick, now: float) -> bool:
    """Whether a tick is taken over so late that its entry may be further by now.

    No beat was there to publish it in time, or the store was not; or one of its messages cannot be
    sent, however often that is tried.
    """
    # messages that cannot be sent must not hold up the others at their next due time
    in_part = tick.was_given_up and bool(tick.sent)
    return tick.tries > 1 and (in_part or now - tick.due > _OLD)
