"""What befalls the beats and the store, and when: drawn by a seed, to be drawn again."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

__all__ = ["ALL", "BEATS", "Fault", "plan"]

BEATS = 3

KILL = "kill"
DIE_CLAIMED = "die between claim and publish"
DIE_PUBLISHED = "die between publish and confirm"
PAUSE = "pause"
FAIL_PUBLISH = "fail to publish"
CLOCK = "step the clock"
STORE_PAUSE = "pause the store"
STORE_KILL = "kill the store"
FLUSH = "flush the store"

ALL = frozenset(
    {KILL, DIE_CLAIMED, DIE_PUBLISHED, PAUSE, FAIL_PUBLISH, CLOCK, STORE_PAUSE, STORE_KILL, FLUSH}
)

CALM_FIRST = 6.0
"""Seconds before the first fault: every beat is up, and has fired."""
CALM_LAST = 12.0
"""Seconds after the last fault: what it left undone is done."""
CLAIM = 10.0
"""The longest that an unconfirmed claim lives, in seconds."""
YOUNG = 5.0
"""Seconds for which a beat that has just started is let alone. It may be writing to a database,
whose lock it would keep from all others if it were paused; and it may not have read the store."""


@dataclass(frozen=True)
class Fault:
    """One thing that happens."""

    at: float
    """Seconds after all beats are up."""
    what: str
    beat: int | None = None
    """Which beat it befalls; `None`: the store."""
    value: float = 0.0
    """Seconds that it lasts or until it is over, seconds of a step, times of a failure."""


def plan(
    seed: int, seconds: float, only: Collection[str] = ALL, calm: float = CALM_LAST
) -> list[Fault]:
    """Draw a plan: the store's faults at their places, and those of beats all along.

    More seconds are more faults of beats; the store's are the same few. `calm`: seconds without
    any at the end.
    """
    draw = random.Random(seed)
    faults = [one for one in _all(draw, seconds - calm, only) if one.what in only]
    return sorted(faults, key=lambda fault: fault.at)


def _all(draw: random.Random, end: float, only: Collection[str]) -> Iterator[Fault]:
    yield Fault(_about(draw, end, 0.22), STORE_PAUSE, value=8)
    yield Fault(_about(draw, end, 0.55), STORE_KILL, value=5)
    wrong = draw.randrange(BEATS)
    for share, off in ((0.15, 8.0), (0.42, -10.0), (0.78, 0.0)):
        yield Fault(_about(draw, end, share), CLOCK, wrong, off)
    for share in (0.36, 0.70):
        yield Fault(_about(draw, end, share), FAIL_PUBLISH, draw.randrange(BEATS), 2)
    if FLUSH in only:
        # The last fault of all: a beat that starts after it, and before the next run of an entry,
        # knows of that entry what its own schedule remembers, which may be older.
        end -= 8
        yield Fault(end, FLUSH)
        end -= 4
    yield from _of_beats(draw, end, only)


def _of_beats(draw: random.Random, end: float, only: Collection[str]) -> Iterator[Fault]:
    """Kills, deaths at a point, and pauses, one after the other."""
    at, bag = CALM_FIRST, list[str]()
    while True:
        if not bag:  # each of them before one comes again, and kills most of all
            bag = [KILL, DIE_CLAIMED, DIE_PUBLISHED, PAUSE, KILL, KILL, KILL]
            bag = [what for what in bag if what in only]
            draw.shuffle(bag)
        if not bag:
            return
        what = bag.pop()
        lasts = CLAIM + draw.uniform(1, 3) if what == PAUSE else draw.uniform(0.5, 4)
        if at + lasts > end:
            return
        yield Fault(at, what, draw.randrange(BEATS), round(lasts, 2))
        at = round(at + draw.uniform(3, 6), 2)


def _about(draw: random.Random, end: float, share: float) -> float:
    return round(CALM_FIRST + (end - CALM_FIRST) * share + draw.uniform(0, 3), 2)
