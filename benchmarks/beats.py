"""Several beats with one schedule: what is sent twice, or not at all, and calls to the store."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from . import names
from .arithmetic import spread
from .processes import BenchError
from .results import Cell, Row, Section
from .running_beats import CONTENDERS, LOCK_OF_REDBEAT, calls_of, messages, running, settle
from .server import Server
from .sizes import Sizes

__all__ = ["gap_after", "measure", "per_due_time"]

_HOUR = 3600.0
_SECOND = 1.0
_TO_BE_BACK = LOCK_OF_REDBEAT + 5.0
"""Seconds in which somebody fires again after a kill."""


def measure(sizes: Sizes, directory: Path) -> Section:
    """Let all run at the same time; then kill one beat of each; then let all be idle."""
    with Server(directory, "beats-store") as store, Server(directory, "beats-broker") as broker:
        busy = _busy(sizes, directory, store, broker)
        idle = _idle(sizes, directory, store, broker)
    return Section(
        names.BEATS,
        "Several beats",
        f"A job each second, for {sizes.beat_seconds} s; then kill -9 of the beat that has sent"
        " last, and how much longer than a second nothing was sent then. A beat of ours that"
        " dies in the millisecond between its claim and its message adds a second to a job of"
        " each second, and ten at most to any other. RedBeat's gap is what is left of its lock:"
        f" it is {LOCK_OF_REDBEAT:g} s here so that its end is seen, and 1,500 s by default. Store"
        " calls are commands, counted by the server; those while idle are of"
        f" {sizes.idle_seconds} s with a job each hour.",
        names.PLAIN_BEATS,
        [
            Row(
                each.name,
                {
                    title: Cell(spread([value]))
                    for title, value in {**busy[each.name], names.IDLE: idle[each.name]}.items()
                },
            )
            for each in CONTENDERS
        ],
    )


# -- what is measured ---------------------------------------------------------------------------


def _busy(
    sizes: Sizes, directory: Path, store: Server, broker: Server
) -> dict[str, dict[str, float]]:
    with running(directory / "busy", store, broker, _SECOND) as beats:
        settle(broker)
        began = time.time()
        with calls_of(store) as count:
            time.sleep(sizes.beat_seconds)
            calls = count()
        ended = time.time()
        killed: dict[str, float] = {}
        for number, each in enumerate(CONTENDERS):
            last = messages(broker, number)[-1]
            killed[each.name] = time.time()
            os.kill(last.beat, signal.SIGKILL)
        time.sleep(_TO_BE_BACK)
        found = {}
        for number, each in enumerate(CONTENDERS):
            sent_at = [one.at for one in messages(broker, number)]
            meant = [at for at in sent_at if began <= at < ended]
            sent, missed = per_due_time(meant)
            found[each.name] = {
                names.SENT: sent,
                names.MISSED: missed,
                names.GAP: gap_after(killed[each.name], sent_at, time.time()),
                names.CALLS: calls[number] / sizes.beat_seconds,
            }
        alone = [f"{each.name}: {child.last_words()}" for each, child in beats if not child.alive()]
        if len(alone) > len(CONTENDERS):
            raise BenchError("beats ended that nobody had killed:\n" + "\n".join(alone))
    return found


def _idle(sizes: Sizes, directory: Path, store: Server, broker: Server) -> dict[str, float]:
    for server in (store, broker):
        with server.client() as client:
            client.flushall()
    with running(directory / "idle", store, broker, _HOUR), calls_of(store) as count:
        time.sleep(3)  # what is done once, after the start
        before = count()
        time.sleep(sizes.idle_seconds)
        after = count()
    return {
        each.name: float(after[number] - before[number]) for number, each in enumerate(CONTENDERS)
    }


def per_due_time(times: Sequence[float], every: float = _SECOND) -> tuple[float, float]:
    """Return how many messages there are for a due time, and how many due times have none.

    A message is for the due time that is nearest; they are counted from the first message.
    """
    by_due = Counter(round((at - times[0]) / every) for at in times)
    return len(times) / len(by_due), float(max(by_due) + 1 - len(by_due))


def gap_after(kill: float, times: Sequence[float], until: float, every: float = _SECOND) -> float:
    """Return how much longer than usual nothing was sent after a kill; 0: no longer."""
    before = max((at for at in times if at <= kill), default=kill)
    after = sorted(at for at in times if at > kill)
    seen = [before, *after, *([] if after else [until])]
    longest = max(b - a for a, b in pairwise(seen))
    return max(0.0, round(longest - every, 2))
