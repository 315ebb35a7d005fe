"""The database: a balance for each user, beside it the highest token that has written it.

`postgresql.sql` has the same for PostgreSQL.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

_TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE points (
    user_id INTEGER PRIMARY KEY,
    balance INTEGER NOT NULL,
    token   INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE writes (pid INTEGER, token INTEGER, before INTEGER, after INTEGER, accepted INTEGER);
"""

# One statement, so nobody comes in between the comparison and the write. `<=`, not `<`: the same
# lease may write more than once.
WITH_TOKEN = """
UPDATE points SET balance = :balance, token = :token
WHERE user_id = :user_id AND token <= :token
"""

WITHOUT_TOKEN = "UPDATE points SET balance = :balance WHERE user_id = :user_id"


@dataclass(frozen=True)
class Write:
    """One attempt to write a balance."""

    pid: int
    """The process that made it."""
    token: int
    before: int
    """The balance that it had read."""
    after: int
    """The balance that it wrote, or would have written."""
    accepted: bool


class Books:
    """The database at `path`; a connection for each call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make the tables in a new file."""
        with self._connection() as connection:
            connection.executescript(_TABLES)

    def begin(self, user_id: int, balance: int) -> None:
        """Give one user this balance, and forget everything else."""
        with self._connection() as connection:
            connection.execute("DELETE FROM points")
            connection.execute("DELETE FROM writes")
            insert = "INSERT INTO points (user_id, balance) VALUES (?, ?)"
            connection.execute(insert, (user_id, balance))

    def balance(self, user_id: int) -> int:
        """Read one balance."""
        with self._connection() as connection:
            query = "SELECT balance FROM points WHERE user_id = ?"
            return int(connection.execute(query, (user_id,)).fetchone()[0])

    def write(self, user_id: int, before: int, after: int, token: int) -> bool:
        """Write a balance unless a later token has written; return whether it was written."""
        return self._write(WITH_TOKEN, user_id, before, after, token)

    def overwrite(self, user_id: int, before: int, after: int, token: int) -> None:
        """Write a balance whatever has happened meanwhile."""
        self._write(WITHOUT_TOKEN, user_id, before, after, token)

    def writes(self) -> list[Write]:
        """Return all attempts to write, in their order."""
        with self._connection() as connection:
            query = "SELECT pid, token, before, after, accepted FROM writes ORDER BY rowid"
            return [
                Write(pid, token, before, after, bool(accepted))
                for pid, token, before, after, accepted in connection.execute(query)
            ]

    def _write(self, statement: str, user_id: int, before: int, after: int, token: int) -> bool:
        with self._connection() as connection:
            values = {"user_id": user_id, "balance": after, "token": token}
            accepted = connection.execute(statement, values).rowcount == 1
            write = Write(os.getpid(), token, before, after, accepted)
            connection.execute("INSERT INTO writes VALUES (?, ?, ?, ?, ?)", astuple(write))
        return accepted

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            with connection:  # commits
                yield connection
        finally:
            connection.close()
