"""The points of the users: one SQLite file, read and written in two steps."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

RECEIPT_ROUNDS = 3000
"""Work put into one receipt: about 1 ms of a processor's time."""


class Books:
    """The file at `path`; a connection for each call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, users: Iterable[int], points: int) -> None:
        """Give each user so many points."""
        with self._connection() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS points (user_id PRIMARY KEY, points)")
            rows = [(user_id, points) for user_id in users]
            connection.executemany("INSERT OR REPLACE INTO points VALUES (?, ?)", rows)

    def points(self, user_id: int) -> int:
        """Return what a user has."""
        with self._connection() as connection:
            query = "SELECT points FROM points WHERE user_id = ?"
            return int(connection.execute(query, (user_id,)).fetchone()[0])

    def charge(self, user_id: int, amount: int) -> int:
        """Take points from a user the naive way: read, compute, write. Return what is left."""
        left = self.points(user_id) - amount
        receipt = f"user {user_id} has {left} left".encode()
        hashlib.pbkdf2_hmac("sha256", receipt, b"points shop", RECEIPT_ROUNDS)
        with self._connection() as connection:
            statement = "UPDATE points SET points = ? WHERE user_id = ?"
            connection.execute(statement, (left, user_id))
        return left

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            connection.execute("PRAGMA synchronous = OFF")  # it does not outlive the demo
            with connection:  # commits
                yield connection
        finally:
            connection.close()
