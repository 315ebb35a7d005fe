"""The due times of what was sent: on their grid, each once, none left out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tests.beats.entries import Entry
from tests.beats.scenario import Scenario, Sent

__all__ = ["left_out", "off_grid", "twice"]

LATE = 0.28
"""Seconds: a run that is sent later than that gives the next ones their phase."""


def twice(sent: Sequence[Sent], entry: Entry) -> list[float]:
    """Ticks that were sent more than once: two due times less than half an interval apart."""
    dues = sorted(one.due for one in sent)
    return [a for a, b in itertools.pairwise(dues) if b - a < entry.every / 2]


def off_grid(made: Scenario, sent: Sequence[Sent], entry: Entry, zero: float) -> list[float]:
    """Due times that are not on the grid, counted from `zero`; or from one that was sent late, or
    that a machine which stood still has come to."""
    wrong = []
    for before, one in itertools.pairwise([sent[0], *sent]):
        apart = _apart(one.due - zero, entry)
        if abs(apart) <= 0.01:
            continue
        took = before.at - before.begun  # the next one is counted from a moment within that
        was_late = before.at - before.due > LATE and (
            -0.05 < _apart(one.due - before.begun, entry) < took + 0.05
        )
        if was_late or (not entry.by_the_clock and _stood_still(made, before, one, entry)):
            zero = one.due
        else:
            wrong.append(apart)
    return wrong


def left_out(made: Scenario, sent: Sequence[Sent], entry: Entry) -> list[float]:
    """Due times that nothing was sent for, though the machine did not stand still.

    The next one is counted from a run that was late, as it is on the grid.
    """
    return [
        before.due + entry.every
        for before, one in itertools.pairwise(sent)
        if one.due - (before.at if before.at - before.due > LATE else before.due)
        > 1.5 * entry.every
        if not _stood_still(made, before, one, entry)
    ]


def _stood_still(made: Scenario, before: Sent, one: Sent, entry: Entry) -> bool:
    """Whether the machine stood still while the second of the two was waited for."""
    return made.stood_still(before.due - entry.every, one.due)


def _apart(seconds: float, entry: Entry) -> float:
    return (seconds + entry.every / 2) % entry.every - entry.every / 2
