"""Who of a process may watch: one for each key, four in all.

A watcher blocks a connection. If all that wait for one key blocked one, ten of them would starve
every other call; and one watcher is enough, since a wake is for one. The others stand in a queue
here, and the first in it watches as soon as the one before has left.
"""

from __future__ import annotations

import threading
from collections import deque

from ...model.clock import monotonic
from ...model.mutex import new_mutex

__all__ = ["Watchers"]

RETRY_AFTER = 0.25
"""Seconds in the queue after which somebody who waits for a key that nobody watches leaves it and
tries the claim instead. Longer finds a free key later; shorter costs more claims."""


class Watchers:
    """The watchers of one process: it lets them in, in the order of arrival."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._watched: set[str] = set()
        self._queue: deque[tuple[str, threading.Event]] = deque()
        self._guard = new_mutex()

    def enter(self, key: str, seconds: float) -> bool:
        """Wait until the caller may watch `key`; `False`: it should try the claim instead."""
        until = monotonic() + seconds
        with self._guard:
            if self._free and key not in self._watched:
                self._admit(key)
                return True
            admitted = threading.Event()
            self._queue.append((key, admitted))
        try:
            while not admitted.wait(min(until - monotonic(), RETRY_AFTER)):
                with self._guard:
                    if monotonic() >= until or key not in self._watched:
                        break
        except BaseException:
            if self._leave_queue(key, admitted):
                self.leave(key)
            raise
        return self._leave_queue(key, admitted)

    def leave(self, key: str) -> None:
        """End a watch: the first in the queue whose key is not watched is let in."""
        with self._guard:
            self._free += 1
            self._watched.discard(key)
            for place, (waiting, admitted) in enumerate(self._queue):
                if waiting not in self._watched:
                    del self._queue[place]
                    self._admit(waiting)
                    admitted.set()
                    break

    def _admit(self, key: str) -> None:
        self._free -= 1
        self._watched.add(key)

    def _leave_queue(self, key: str, admitted: threading.Event) -> bool:
        """Leave the queue; `True`: the caller was let in (perhaps at the last moment)."""
        with self._guard:
            if not admitted.is_set():
                self._queue.remove((key, admitted))
            return admitted.is_set()
