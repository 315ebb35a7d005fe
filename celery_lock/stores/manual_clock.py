"""Time that stands still until a test moves it."""

from __future__ import annotations

import threading

__all__ = ["ManualClock"]


class ManualClock:
    """Time that stands still until a test moves it; a move wakes whoever watches a key.

    `jumps`: a watcher does not wait for somebody else to move the clock but moves it to the end
    of its own wait. For tests with a single thread, where nobody else could.
    """

    def __init__(self, start: float = 0.0, *, jumps: bool = False) -> None:
        self._now = start
        self.jumps = jumps
        self.moved = threading.Condition()

    def __call__(self) -> float:
        return self._now

    def move(self, seconds: float) -> None:
        """Let time pass, and wake the watchers."""
        with self.moved:
            self._now += seconds
            self.moved.notify_all()
