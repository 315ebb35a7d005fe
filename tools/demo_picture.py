"""Draws what the demo printed as the picture of the landing page, once for each colour scheme.

    make demo >build/demo.txt && python tools/demo_picture.py build/demo.txt

The numbers are those of that run; nothing is rounded or left out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

__all__ = ["SCHEMES", "picture"]

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
SCHEMES = {
    "light": {
        "text": "#1f2328", "quiet": "#59636e", "rule": "#d1d9e0", "paper": "#f6f8fa",
        "bad": "#c62828", "good": "#1b7f37", "A": "#3f51b5", "B": "#c2570c", "C": "#0f766e",
    },
    "dark": {
        "text": "#e6e8eb", "quiet": "#a6adb6", "rule": "#3d444d", "paper": "#252a33",
        "bad": "#ff8a80", "good": "#7ee2a0", "A": "#9fa8ff", "B": "#ffb074", "C": "#5eead4",
    },
}  # fmt: skip

WIDTH, EDGE, ROW, BAR = 440, 16, 24, 13
ENDS = (148, 226, 284, 366, 424)
"""Where the columns of numbers end: expected, plain and lost, locked and lost."""

_SUM = re.compile(r"(?m)^(user \d+|all) " + r" +(-?[\d,]+)" * 5 + "$")
_HOLD = re.compile(r"(?m)^([A-Z]) +([\d.]+) +([\d.]+) +\d+ +\|.*\|$")
_WHO = re.compile(r"(?m)^(Who held [^\s,]+)")


def picture(said: str, colours: Mapping[str, str]) -> str:
    """Return the SVG of what the demo said. Raises `ValueError` where a part of it is missing."""
    sums, holds, who = _SUM.findall(said), _HOLD.findall(said), _WHO.search(said)
    if not (sums and holds and who):
        raise ValueError("this is not what `make demo` prints: its table or timeline is missing")
    lines = [*_table(said.splitlines()[0], sums, colours)]
    top = 92 + ROW * len(sums) + 34
    lines += _timeline(who[1], holds, top, colours)
    height = top + BAR * len(holds) + 34
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
            f' width="{WIDTH}" height="{height}" role="img" font-size="14"'
            ' font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace">',
            f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"'
            f' fill="{colours["paper"]}" stroke="{colours["rule"]}"/>',
            *lines,
            "</svg>\n",
        ]
    )


def _table(title: str, sums: list[tuple[str, ...]], colours: Mapping[str, str]) -> Iterator[str]:
    yield _text(EDGE, 28, title.partition(", by")[0], colours["text"], weight="bold")
    quiet = colours["quiet"]
    yield _text(ENDS[2], 58, "without a lock", quiet, size=12, end=True)
    yield _text(ENDS[4], 58, "with LockedTask", quiet, size=12, end=True)
    for end, word in zip(ENDS, ("expected", "points", "lost", "points", "lost"), strict=True):
        yield _text(end, 78, word, quiet, size=12, end=True)
    for at, (name, *values) in enumerate(sums):
        y = 104 + ROW * at
        if name == "all":
            yield _rule(y - 17, colours)
        weight = "bold" if name == "all" else "normal"
        yield _text(EDGE, y, name, colours["text"], weight=weight)
        for column, (end, value) in enumerate(zip(ENDS, values, strict=True)):
            colour = colours["text"]
            if column in (2, 4):
                colour = colours["good"] if value == "0" else colours["bad"]
            yield _text(end, y, value, colour, weight=weight, end=True)


def _timeline(
    who: str, holds: list[tuple[str, ...]], top: int, colours: Mapping[str, str]
) -> Iterator[str]:
    yield _rule(top - 24, colours)
    yield _text(EDGE, top, who, colours["quiet"], size=12)
    span = max(float(end) for _, _, end in holds)
    left, right = EDGE + 26, WIDTH - EDGE
    for at, (server, start, end) in enumerate(holds):
        y = top + 12 + BAR * at
        x = left + (right - left) * float(start) / span
        width = max(3.0, (right - left) * (float(end) - float(start)) / span)
        yield _text(EDGE, y + 9, server, colours[server], size=11)
        yield (
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR - 4}" rx="2"'
            f' fill="{colours[server]}"/>'
        )
    foot = top + 12 + BAR * len(holds) + 8
    yield _text(left, foot, "0 ms", colours["quiet"], size=11)
    yield _text(right, foot, f"{span:.0f} ms", colours["quiet"], size=11, end=True)


def _text(
    x: float, y: float, words: str, colour: str, *,
    size: int = 14, weight: str = "normal", end: bool = False,
) -> str:  # fmt: skip
    anchor = ' text-anchor="end"' if end else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}"'
        f"{anchor}>{escape(words)}</text>"
    )


def _rule(y: float, colours: Mapping[str, str]) -> str:
    return f'<path d="M{EDGE} {y}H{WIDTH - EDGE}" stroke="{colours["rule"]}"/>'


if __name__ == "__main__":
    for scheme, chosen in SCHEMES.items():
        drawn = picture(Path(sys.argv[1]).read_text(encoding="utf-8"), chosen)
        (ASSETS / f"demo-{scheme}.svg").write_text(drawn, encoding="utf-8")
