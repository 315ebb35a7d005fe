"""Spans in which the whole machine stood still: no process can be on time in one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.beats.history import Span

__all__ = ["rest", "watched"]

_NOTICED = 0.3
"""Seconds by which a sleep must be too long, to be called a standstill."""
_LOOK = 0.05
"""Seconds between two looks of who watches."""


def rest(seconds: float) -> Span | None:
    """Sleep; return the span if the machine stood still in it, by the wall clock."""
    start = time.time()
    time.sleep(seconds)
    end = time.time()
    return Span(start, end) if end - start > seconds + _NOTICED else None


@contextmanager
def watched() -> Iterator[list[Span]]:
    """Watch the machine: the list gets each span in which it stands still."""
    stills: list[Span] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            still = rest(_LOOK)
            if still is not None:
                stills.append(still)

    watcher = threading.Thread(target=watch, name="standstill", daemon=True)
    watcher.start()
    try:
        yield stills
    finally:
        over.set()
        watcher.join()
