"""Who of a process may watch: one for each key, four in all.

A watcher blocks a connection. Were all that wait for one key to block, ten of them would starve
every other call; and one is enough, since a wake is for one. The others stand in a queue here,
and the first in it watches as soon as the one before has left.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic

__all__ = ["Turns"]

PATIENCE = 0.25
"""Seconds in the queue after which a watcher of a key that nobody watches goes and tries its
claim instead. Longer finds a free key later; shorter costs more claims."""


class Turns:
    """Gives out turns in the order of arrival. Belongs to one process."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._watched: set[str] = set()
        self._queue: deque[tuple[str, threading.Event]] = deque()
        self._guard = threading.Lock()

    def take(self, key: str, seconds: float) -> bool:
        """Wait for the turn to watch `key`; `False`: go and try the claim."""
        until = monotonic() + seconds
        with self._guard:
            if self._free and key not in self._watched:
                self._begin(key)
                return True
            turn = threading.Event()
            self._queue.append((key, turn))
        try:
            while not turn.wait(min(until - monotonic(), PATIENCE)):
                with self._guard:
                    if monotonic() >= until or key not in self._watched:
                        break
        except BaseException:
            self._leave(key, turn)
            if turn.is_set():
                self.give(key)
            raise
        return self._leave(key, turn)

    def give(self, key: str) -> None:
        """End a turn: the first in the queue whose key is not watched is next."""
        with self._guard:
            self._free += 1
            self._watched.discard(key)
            for place, (waiting, turn) in enumerate(self._queue):
                if waiting not in self._watched:
                    del self._queue[place]
                    self._begin(waiting)
                    turn.set()
                    break

    def _begin(self, key: str) -> None:
        self._free -= 1
        self._watched.add(key)

    def _leave(self, key: str, turn: threading.Event) -> bool:
        """Leave the queue; `True`: it is our turn (it may have come at the last moment)."""
        with self._guard:
            if not turn.is_set():
                self._queue.remove((key, turn))
            return turn.is_set()
