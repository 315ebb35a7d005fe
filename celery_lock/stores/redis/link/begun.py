"""Scripts that a server was sent, and whose answers are still to come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .care import Care
from .connection import Connection
from .linking import Call
from .pool import Pool
from .resp import Reply, filled
from .scripting import claims, lasts, packed

__all__ = ["Begun", "begin"]


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


def begin(
    pool: Pool,
    connection: Connection,
    calls: Sequence[Call],
    care: Care,
    answers: Callable[[Sequence[Reply | Exception]], list[Any]],
    ends: float,
    connect_by: float | None,
) -> Begun | None:
    """Send scripts over a connection that is lent for it, and give that back where this fails.

    `answers` makes of outcomes what the scripts answered. Without `connect_by` nothing is waited
    for: `None` says that the connection is none, or has to be heard first.
    """
    try:
        at_once = connection.connected and (not connection.owes or connection.poll())
        if not at_once and connect_by is None:
            pool.give(connection)
            return None
        waits = care.waits(ends) if lasts(calls) else []
        commands = [*packed(calls), *waits]
        piece = b"".join(commands)
        connection.begin(piece, connect_by or ends, len(commands), claims=claims(calls))
    except BaseException:
        pool.give(connection)
        raise

    def acknowledged(outcomes: Sequence[Reply | Exception]) -> list[Any]:
        return answers(care.acknowledged(outcomes, connection) if waits else outcomes)

    return Begun(pool, connection, acknowledged)
