"""At most ten connections of one process, the one used last lent first.

The idle ones lie on a list whose `pop` and `append` are atomic, so that the usual call takes no
lock at all; only who finds the list empty waits, on a condition.
"""

from __future__ import annotations

import threading

from ....model.clock import monotonic
from ....model.mutex import new_mutex
from .connection import Connection
from .discovery import Directory
from .guard import Guard

__all__ = ["Pool", "PoolExhausted"]


class PoolExhausted(Exception):
    """No connection became free in time."""


class Pool:
    """Lends connections to one server. Belongs to one process: a child makes its own."""

    def __init__(self, directory: Directory, size: int, guard: Guard | None = None) -> None:
        self.size = size
        self._idle = [Connection(directory, guard) for _ in range(size)]  # none is connected yet
        self._mutex = new_mutex()
        self._returned = threading.Condition(self._mutex)
        self._waiting = 0
        self._closed = False

    def take(self, ends: float) -> Connection:
        """Return a connection that nobody else uses; raise `PoolExhausted` at `ends`."""
        try:
            return self._idle.pop()
        except IndexError:
            pass
        with self._mutex:
            # counted before the list is looked at again: `give` appends first and looks at the
            # count then, so one of the two sees the other
            self._waiting += 1
            try:
                while True:
                    try:
                        return self._idle.pop()
                    except IndexError:
                        left = ends - monotonic()
                    if left <= 0:
                        raise PoolExhausted
                    self._returned.wait(left)
            finally:
                self._waiting -= 1

    def give(self, connection: Connection) -> None:
        """Take a connection back; the dead ones are lent last."""
        if self._closed or connection.unread:
            connection.close()
        if connection.connected:
            self._idle.append(connection)
        else:
            self._idle.insert(0, connection)
        if self._waiting:
            with self._mutex:
                self._returned.notify()

    def hear(self, ends: float) -> None:
        """Read, before `ends`, what was left unread on the idle connections."""
        for connection in list(self._idle):
            try:
                self._idle.remove(connection)
            except ValueError:  # somebody else has taken it, and reads that
                continue
            try:
                connection.hear(ends)
            finally:
                self.give(connection)

    def hear_arrived(self, ends: float) -> bool:
        """Read what has come of what was left unread, and wait for nothing; `True`: that was all.

        Before `ends` only what has to be said once more for it.
        """
        done = True
        for connection in [one for one in list(self._idle) if one.owes]:
            try:
                self._idle.remove(connection)
            except ValueError:  # somebody else has taken it, and reads that
                continue
            try:
                if connection.poll():
                    connection.hear(ends)
                else:
                    done = False
            finally:
                self.give(connection)
        return done

    def close(self) -> None:
        """End the idle connections now, and those in use as they come back."""
        self._closed = True
        for connection in list(self._idle):
            connection.close()
