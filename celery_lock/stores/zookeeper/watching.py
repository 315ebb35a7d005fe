"""Who waits for an entry to change: one watch of the server for each, however many wait."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

from ...model.mutex import new_mutex

__all__ = ["Watches"]


class _Watch:
    """One watch of the server, which says that a node has changed once, or that it may have."""

    def __init__(self, over: Callable[[], object]) -> None:
        self._over = over
        self._guard = new_mutex()
        self._waiting: list[Event] | None = []

    def enter(self) -> Event | None:
        """Wait with the others; `None`: it has spoken already."""
        event = Event()
        with self._guard:
            if self._waiting is None:
                return None
            self._waiting.append(event)
        return event

    def leave(self, event: Event) -> None:
        """Wait no longer."""
        with self._guard:
            if self._waiting is not None:
                self._waiting.remove(event)

    def fire(self, _: Any) -> None:
        """Wake all that wait; kazoo's thread calls it."""
        with self._guard:
            waiting, self._waiting = self._waiting or [], None
        self._over()
        for event in waiting:
            event.set()


class Watches:
    """The watches of one process.

    kazoo cannot take a watch back, so one that was in vain is used again by who comes next.
    """

    def __init__(self) -> None:
        self._guard = new_mutex()
        self._watches: dict[str, _Watch] = {}

    def at(self, path: str) -> _Watch:
        """Return the watch of a node: to be sent with the next look at it."""
        with self._guard:
            watch = self._watches.get(path)
            if watch is None:
                watch = self._watches[path] = _Watch(lambda: self._watches.pop(path, None))
            return watch
