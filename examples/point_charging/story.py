"""The story: the same top-ups, sent to the same three servers, once for each task."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import stop
from .points import Hold, Points

USERS = range(1, 6)
FIRST_BALANCE = 1000

_PATIENCE = 15.0
"""Seconds without a single top-up done after which the rest is given up for lost."""


@dataclass(frozen=True)
class TopUp:
    """So many points for this user."""

    top_up_id: int
    user_id: int
    amount: int


@dataclass(frozen=True)
class Run:
    """What came of it."""

    balances: dict[int, int]
    history: list[Hold]
    seconds: float


def make_top_ups(count: int) -> list[TopUp]:
    """Return the load: for users in no order, and the same for each run."""
    chance = random.Random(7)
    return [TopUp(number, chance.choice(USERS), chance.randint(1, 100)) for number in range(count)]


def play(
    task: Any,
    top_ups: list[TopUp],
    points: Points,
    *,
    check: Callable[[], None],
    progress: Callable[[int], None],
    finish: Callable[[], None] | None = None,
) -> Run:
    """Send every top-up, and return what is in the database when all are done or given up.

    `check` raises when something has died. `finish` ends the workers: after it nothing can
    change any more, and a top-up that runs twice has done so.
    """
    points.begin(USERS, FIRST_BALANCE)
    start = moved = time.monotonic()
    for number, top_up in enumerate(top_ups):
        task.delay(top_up.top_up_id, top_up.user_id, top_up.amount)
        if number % 20 == 0:  # sending them all takes a good part of the time
            progress(points.done())
        stop.check()
    done = 0
    while done < len(top_ups) and time.monotonic() < moved + _PATIENCE:
        check()
        before, done = done, points.done()
        if done > before:
            moved = time.monotonic()
        progress(done)
        stop.pause(0.05)
    seconds = time.monotonic() - start
    if finish is not None:
        finish()
    return Run(points.balances(), points.history(), seconds)
