"""The line in which a few measured seconds are said."""

from __future__ import annotations

from tools.surprises.spread import spread


def test_the_ninetieth_percentile_is_a_value_that_was_seen() -> None:
    seconds = [float(number) for number in range(24, 0, -1)]

    said = spread(seconds)

    assert said == "median 12.50 s, p90 22.00 s, max 24.00 s"


def test_one_value_is_all_three() -> None:
    assert spread([0.25]) == "median 0.25 s, p90 0.25 s, max 0.25 s"
