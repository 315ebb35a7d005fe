"""Measuring in turns: every contender a little in every round, each time in another order."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Mapping
from math import inf
from time import perf_counter

__all__ = ["in_turns", "seconds_each"]

_ORDER = random.Random(1)
"""The same in each run."""


def in_turns(
    contenders: Mapping[str, Callable[[], float]], rounds: int, seconds: float = inf
) -> dict[str, list[float]]:
    """Ask each contender for a number once a round; return the numbers by name, round by round.

    The first round is thrown away: connections are opened in it, and scripts are sent. No round
    is begun when `seconds` have passed, but there is one at least.
    """
    until = perf_counter() + seconds
    order = list(contenders)
    found: dict[str, list[float]] = {name: [] for name in order}
    for number in range(rounds + 1):
        if number > 1 and perf_counter() > until:
            break
        _ORDER.shuffle(order)
        for name in order:
            value = contenders[name]()
            if number:
                found[name].append(value)
    return found


def seconds_each(call: Callable[[], object], times: int) -> float:
    """Return how long one call takes, of so many in a row; no garbage is collected meanwhile."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        began = perf_counter()
        for _ in range(times):
            call()
        return (perf_counter() - began) / times
    finally:
        if was_on:
            gc.enable()
