"""A few numbers as one line: the median, the 90th percentile and the highest."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def spread(seconds: Sequence[float]) -> str:
    """Return the line; the 90th percentile is a value that was seen."""
    ordered = sorted(seconds)
    p90 = ordered[max(0, -(-len(ordered) * 9 // 10) - 1)]
    return f"median {median(ordered):.2f} s, p90 {p90:.2f} s, max {ordered[-1]:.2f} s"
