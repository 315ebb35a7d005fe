"""The users' points and the history of their top-ups: one SQLite file, a connection per call."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

_TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS points (user_id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS history (
    top_up_id INTEGER, user_id INTEGER, server TEXT, start REAL, "end" REAL,
    before INTEGER, after INTEGER, token INTEGER, receipt TEXT
);
"""


@dataclass(frozen=True)
class Hold:
    """One run of one top-up: who had a user's points in hand, from when to when."""

    top_up_id: int
    user_id: int
    server: str
    start: float
    """Seconds on the machine's monotonic clock."""
    end: float
    before: int
    """The balance that was read."""
    after: int
    """The balance that was written."""
    token: int | None
    """The fencing token of the lease; `None` without a lock."""


class Points:
    """The database at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make the tables where there are none."""
        with self._connection() as connection:
            connection.executescript(_TABLES)

    def begin(self, users: Iterable[int], balance: int) -> None:
        """Give each user this balance, and begin an empty history."""
        with self._connection() as connection:
            connection.execute("DELETE FROM points")
            connection.execute("DELETE FROM history")
            rows = [(user_id, balance) for user_id in users]
            connection.executemany("INSERT INTO points VALUES (?, ?)", rows)

    def add(self, users: Iterable[int], balance: int) -> None:
        """Give this balance to those of these users who are new."""
        with self._connection() as connection:
            rows = [(user_id, balance) for user_id in users]
            connection.executemany("INSERT OR IGNORE INTO points VALUES (?, ?)", rows)

    def balance(self, user_id: int) -> int:
        """Read one balance."""
        with self._connection() as connection:
            query = "SELECT balance FROM points WHERE user_id = ?"
            return int(connection.execute(query, (user_id,)).fetchone()[0])

    def set_balance(self, user_id: int, balance: int) -> None:
        """Write one balance."""
        with self._connection() as connection:
            statement = "UPDATE points SET balance = ? WHERE user_id = ?"
            connection.execute(statement, (balance, user_id))

    def note(self, hold: Hold, receipt: str) -> None:
        """Add one run to the history."""
        with self._connection() as connection:
            statement = "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            connection.execute(statement, (*astuple(hold), receipt))

    def done(self) -> int:
        """Count the top-ups that ran at least once."""
        with self._connection() as connection:
            query = "SELECT count(DISTINCT top_up_id) FROM history"
            return int(connection.execute(query).fetchone()[0])

    def balances(self) -> dict[int, int]:
        """Return all balances by user."""
        with self._connection() as connection:
            return dict(connection.execute("SELECT user_id, balance FROM points"))

    def history(self) -> list[Hold]:
        """Return all runs, in the order of their starts."""
        with self._connection() as connection:
            query = (
                'SELECT top_up_id, user_id, server, start, "end", before, after, token'
                " FROM history ORDER BY start"
            )
            return [Hold(*row) for row in connection.execute(query)]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            # no waiting for the disk: this database does not outlive the demo
            connection.execute("PRAGMA synchronous = OFF")
            with connection:  # commits
                yield connection
        finally:
            connection.close()
