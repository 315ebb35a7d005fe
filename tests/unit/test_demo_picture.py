"""The picture of the landing page shows what the demo printed: its sums, and who held a key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples.point_charging.points import Hold
from examples.point_charging.show import table, timeline
from examples.point_charging.verdict import Sum, Verdict
from tools.demo_picture import SCHEMES, picture

ASSETS = Path(__file__).parents[2] / "docs" / "assets"
HISTORY = [Hold(0, 1, "A", 0.0, 0.1, 0, 5, 7), Hold(1, 1, "B", 0.2, 0.4, 5, 9, 8)]


def verdict(found: int) -> Verdict:
    return Verdict([Sum(1, 1200, found)], [], [], [], [])


def said() -> str:
    sums, holds = table(verdict(1150), verdict(1200)), timeline(HISTORY, 1)
    return f"3 top-ups for 1 user, by servers A\n\n{sums}\n\nWho held a:1, here:\n{holds}\n"


def words(drawn: str) -> list[str]:
    return re.findall(r">([^<\n]+)</text>", drawn)


def test_the_picture_has_all_that_the_demo_printed() -> None:
    drawn = words(picture(said(), SCHEMES["light"]))

    assert drawn[0] == "3 top-ups for 1 user"
    assert drawn.count("1,200") == 4
    assert drawn.count("1,150") == drawn.count("50") == 2
    assert drawn[-5:] == ["Who held a:1", "A", "B", "0 ms", "400 ms"]


def test_output_without_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="not what `make demo` prints"):
        picture("300 top-ups for 5 users\n", SCHEMES["light"])


def test_both_pictures_show_the_same_run_whose_sums_are_right() -> None:
    if not ASSETS.exists():
        pytest.skip("the tests run without the documentation")
    light, dark = (words((ASSETS / f"demo-{name}.svg").read_text("utf-8")) for name in SCHEMES)
    numbers = [word for word in light[light.index("user 1") :] if "Who held" not in word]

    expected, plain, lost, locked, none = (
        int(word.replace(",", "")) for word in numbers[numbers.index("all") + 1 :][:5]
    )

    assert light == dark
    assert (expected - plain, locked, none) == (lost, expected, 0)
    assert lost > 0
