"""What is seen: a bar while it runs, a table and a timeline at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from .points import Hold
from .verdict import Verdict

_BAR = 30
_AXIS = 40


class Bar:
    """The progress of one run: redrawn in place on a terminal, a line for each quarter elsewhere.

    Use it in a `with`.
    """

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._start = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._quarter = 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            print(flush=True)

    def show(self, done: int) -> None:
        """So many are done."""
        filled = _BAR * done // self._total
        seconds = time.monotonic() - self._start
        line = (
            f"{self._title:15} [{'#' * filled:.<{_BAR}}] {done:>{len(str(self._total))}}"
            f"/{self._total} {seconds:5.1f} s"
        )
        if self._terminal:
            print(f"\r\x1b[K{line}", end="", flush=True)
        elif 4 * done // self._total > self._quarter:
            self._quarter = 4 * done // self._total
            print(line, flush=True)


def table(plain: Verdict, locked: Verdict) -> str:
    """Return one row per user and the totals."""
    rows = [
        (f"user {one.user_id}", one.expected, one.found, one.lost, two.found, two.lost)
        for one, two in zip(plain.sums, locked.sums, strict=True)
    ]
    numbers = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
    lines = [f"{'points':8}{'expected':>10}{'plain':>10}{'lost':>10}{'locked':>10}{'lost':>10}"]
    for name, *values in [*rows, ("all", *numbers)]:
        lines.append(f"{name:8}" + "".join(f"{value:>10,}" for value in values))
    return "\n".join(lines)


def lost_update(verdict: Verdict) -> str:
    """Tell the first overlap of a run, step by step; nothing when there is none."""
    lossy = [(a, b) for a, b in verdict.overlaps if a.before == b.before]
    if not lossy:
        return ""
    one, two = min(lossy, key=lambda pair: pair[0].start)
    steps = sorted(
        [
            (one.start, f"{one.server} reads {one.before}"),
            (two.start, f"{two.server} reads {two.before}"),
            (one.end, f"{one.server} writes {one.after}"),
            (two.end, f"{two.server} writes {two.after}"),
        ]
    )
    told = ", ".join(f"{step} ({1000 * (at - one.start):.1f} ms)" for at, step in steps)
    gone = min((one, two), key=lambda hold: hold.end)
    lost = gone.after - gone.before
    return f"The first that lost, for user {one.user_id}: {told}; {lost} points are gone."


def timeline(history: Sequence[Hold], user_id: int, count: int = 12) -> str:
    """Return who held one user's points when, for the `count` holds nearest to each other."""
    holds = sorted((h for h in history if h.user_id == user_id), key=lambda hold: hold.start)
    if not holds:
        return ""
    starts = range(max(1, len(holds) - count + 1))
    shown = min(
        (holds[at : at + count] for at in starts), key=lambda part: part[-1].end - part[0].start
    )
    zero, span = shown[0].start, max(hold.end for hold in shown) - shown[0].start
    lines = [f"{'server':8}{'from':>8}{'to':>8} ms  {'fencing token':16}  time"]
    for hold in shown:
        begin, end = hold.start - zero, hold.end - zero
        left = min(_AXIS - 1, int(_AXIS * begin / span))
        width = max(1, round(_AXIS * (end - begin) / span))
        bar = (" " * left + "#" * width)[:_AXIS]
        token = "-" if hold.token is None else str(hold.token)
        lines.append(
            f"{hold.server:8}{1000 * begin:8.1f}{1000 * end:8.1f}     {token:16}  |{bar:{_AXIS}}|"
        )
    return "\n".join(lines)
