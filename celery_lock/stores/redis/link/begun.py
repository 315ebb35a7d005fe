"""Scripts that a server was sent, and whose answers are still to come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .connection import Connection, filled
from .pool import Pool
from .resp import Reply

__all__ = ["Begun"]


class Begun:
    """One round trip that has begun, over a connection that is lent for it.

    It ends with `finish()` or with `give_up()`.
    """

    __slots__ = ("_answers", "_connection", "_pool", "_replies")

    def __init__(
        self,
        pool: Pool,
        connection: Connection,
        answers: Callable[[list[Reply | Exception]], list[Any]],
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._replies = connection.unread
        self._answers = answers

    def poll(self) -> bool:
        """Take in what has come, without a wait; `True`: `finish` need not wait either."""
        return self._connection.poll()

    def fileno(self) -> int:
        """Return what a selector knows it by."""
        return self._connection.fileno()

    def finish(self) -> list[Any]:
        """Return for each script its answer, or its own `StoreError`."""
        outcomes: list[Reply | Exception] = []
        try:
            failure = self._connection.collect(outcomes)
            return self._answers(filled(outcomes, failure, self._replies))
        finally:
            self._pool.give(self._connection)

    def give_up(self) -> None:
        """Wait no longer: what has not been read by now is never read."""
        self._pool.give(self._connection)
