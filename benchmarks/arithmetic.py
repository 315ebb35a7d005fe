"""Medians, spreads and ratios of what was measured in rounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["HIGH", "LOW", "Spread", "quantile", "ratios", "spread"]

LOW, HIGH = 0.1, 0.9
"""Which part of the rounds a spread leaves out at each end: a machine does other things too, and
one of its pauses would stand for a whole row."""


@dataclass(frozen=True)
class Spread:
    """What many rounds came to."""

    median: float
    low: float
    """A tenth of the rounds was below."""
    high: float
    """A tenth of the rounds was above."""
    rounds: int


def spread(values: Sequence[float]) -> Spread:
    """Sum up the values of all rounds. Raises `ValueError` for none."""
    if not values:
        raise ValueError("nothing was measured: a spread needs one round at least")
    return Spread(
        statistics.median(values), quantile(values, LOW), quantile(values, HIGH), len(values)
    )


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value below which `part` of the values lie, between two of them if need be."""
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def ratios(series: Mapping[str, Sequence[float]], base: str) -> dict[str, list[float]]:
    """Return each series divided by the base's, round by round.

    Two values of one round were measured within moments of each other, so that a machine which is
    slow for a minute is slow for both. Raises `ValueError` if one series has other rounds.
    """
    for name, values in series.items():
        if len(values) != len(series[base]):
            raise ValueError(f"{name} has {len(values)} rounds and {base} {len(series[base])}")
    return {
        name: [value / under for value, under in zip(values, series[base], strict=True)]
        for name, values in series.items()
    }
