"""The store's clock, as a beat estimates it: every beat goes by it instead of by its own."""

from __future__ import annotations

from ..model.clock import Clock, steady

__all__ = ["MARGIN", "StoreClock"]

MARGIN = 0.001
"""Seconds that the estimate stays behind what is known for sure. Less: an estimate that runs ahead
has its claims refused as too early, each for a call more. More: every tick is as much later."""

JUMP = 0.5
"""A correction by more seconds than this is a jump: a plan by the time before is void."""


class StoreClock:
    """Reads the store's time off the store's answers, and goes on by the steady clock in between.

    So neither a wrong clock of this machine nor a step of it changes when an entry is due. Until
    the first answer the machine's own time has to do.

    An answer that came between `sent` and `received` bounds the time from both sides. The
    estimate is the latest moment that is surely not ahead of the store.
    """

    def __init__(self, wall: float, clock: Clock = steady) -> None:
        """`wall` is the machine's own time now: seconds since 1970."""
        self.steady = clock
        self._offset = wall - clock()
        self._heard = False
        self._jumped = False

    def now(self) -> float:
        """Seconds since 1970, as the store counts them."""
        return self.steady() + self._offset - MARGIN

    def heard(self, now: float, sent: float, received: float) -> None:
        """Take in that the store said `now`, between two moments of the steady clock."""
        lowest, highest = now - received, now - sent
        before = self._offset
        self._offset = min(max(before, lowest), highest) if self._heard else lowest
        self._jumped = self._jumped or abs(self._offset - before) > JUMP
        self._heard = True

    def jumped(self) -> bool:
        """Whether the estimate has moved by more than half a second since this was asked last."""
        jumped, self._jumped = self._jumped, False
        return jumped
