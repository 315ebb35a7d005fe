"""When a message comes again whose store gave no answer."""

from __future__ import annotations

from collections.abc import Callable

from ..model.chance import chance
from ..model.clock import Clock, steady
from ..model.per_process import PerProcess

__all__ = ["EACH_SECOND", "LONGEST", "outage_pause"]

EACH_SECOND = 10.0
"""How many messages each process has again in a second, while its store is down. More: the broker
has more to do, for nothing. Fewer: a task runs later after the store has come back."""

LONGEST = 15.0
"""Seconds after which each of them comes again, however many there are."""


class _Turns:
    """The messages of one process that are to come again."""

    def __init__(self) -> None:
        self.last = 0.0
        """When the last of them does."""


_turns = PerProcess(_Turns)


def outage_pause(
    clock: Clock = steady, uniform: Callable[[float, float], float] = chance.uniform
) -> float:
    """Return the seconds until a message comes again: one, and more where there are many.

    A pause that grew from try to try would keep the few messages of a quiet worker away long after
    the store has come back. Here each has a turn of its own, so that many of them cost the broker
    no more than some, and one of them always comes soon.
    """
    turns, now = _turns.value, clock()
    turns.last = turn = max(turns.last, now) + 1 / EACH_SECOND
    if turn - now > LONGEST:
        turns.last = now + LONGEST
        return uniform(LONGEST / 2, LONGEST)
    return turn - now + uniform(0.5, 1.0)
