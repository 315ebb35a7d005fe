"""A lock store in a table of PostgreSQL: each step is one transaction, of two round trips."""

from collections.abc import Mapping, Sequence
from random import random
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from threading import Semaphore
from time import monotonic
from typing import Any
from zlib import crc32

from psycopg import Error, OperationalError, ProgrammingError, conninfo, errors, pq
from psycopg.sql import quote

from celery_lock.errors import LockConfigurationError, StoreError, StoreUnavailable
from celery_lock.model.per_process import PerProcess
from celery_lock.stores import promises
from celery_lock.stores.steps import FEATURES, Move, SteppedStore

BEGIN = """BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL statement_timeout = {ms}; SET LOCAL idle_in_transaction_session_timeout = {ms};
SELECT pg_advisory_xact_lock(1819239275, id) FROM unnest({ids}::int[]) AS id;
SELECT '', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
SELECT name, value FROM celery_lock WHERE name = ANY({names}::text[])"""
WRITE = """INSERT INTO celery_lock (name, value, ends) VALUES {rows}
ON CONFLICT (name) DO UPDATE SET value = excluded.value, ends = excluded.ends;"""
SWEEP = """DELETE FROM celery_lock WHERE name = ANY(ARRAY(
SELECT name FROM celery_lock WHERE ends < {now} LIMIT 1000 FOR UPDATE SKIP LOCKED));"""


class Connection:
    """It is made at its first use, and anew when it has died. No call lasts beyond `until`."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn.encode()
        self.conn: Any = None

    def begin(self, statements: str, until: float) -> dict[str, str]:
        if self.conn is not None:
            try:
                return self.ask(statements, until)
            except OperationalError:  # it died while it was idle, and nothing was written
                self.conn.finish()
        self.conn = pq.PGconn.connect_start(self.dsn)
        while (status := self.conn.connect_poll()) != pq.PollingStatus.OK:
            if status == pq.PollingStatus.FAILED:
                raise OperationalError(self.conn.get_error_message())
            self.wait(EVENT_READ if status == pq.PollingStatus.READING else EVENT_WRITE, until)
        self.conn.nonblocking = 1
        return self.ask(statements, until)

    def ask(self, statements: str, until: float) -> dict[str, str]:
        found: dict[str, str] = {}
        self.conn.send_query(statements.encode())
        while True:
            while self.conn.is_busy():
                self.wait(EVENT_READ | EVENT_WRITE * self.conn.flush(), until)
                self.conn.consume_input()
            if (result := self.conn.get_result()) is None:
                return found
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise errors.error_from_result(result)
            for n in range(result.ntuples if result.nfields == 2 else 0):
                found[result.get_value(n, 0).decode()] = result.get_value(n, 1).decode()

    def wait(self, events: int, until: float) -> None:
        with DefaultSelector() as selector:
            selector.register(self.conn.socket, events)
            if not selector.select(until - monotonic()):
                raise Error("it gave no answer in time")

    def rest(self) -> None:
        if self.conn is not None and self.conn.transaction_status != pq.TransactionStatus.IDLE:
            self.conn.finish()  # in the middle of a step: the server rolls it back
            self.conn = None


class PostgresStore(SteppedStore):
    """Leases and records in the table of `table.sql`, over ten connections a process at most."""

    def __init__(self, url: str, dsn: str, **settings: Any) -> None:
        super().__init__(url, **settings)
        self._own = PerProcess(lambda: (Semaphore(10), [Connection(dsn) for _ in range(10)]))

    def close(self) -> None:
        self._own.drop()  # a connection that nobody refers to is ended

    def step(self, names: Sequence[str], move: Move[Any], within: float) -> Any:
        until = monotonic() + within
        ids = sorted(crc32(name.encode()) - 2**31 for name in names)  # one order for everybody
        asked = {"ms": int(within * 1000) + 1, "ids": quote(ids), "names": quote(list(names))}
        unused, connections = self._own.value
        if not unused.acquire(timeout=within):
            raise StoreUnavailable(self.url, "all connections of this process stayed in use")
        connection = connections.pop()
        try:
            found = connection.begin(BEGIN.format(**asked), until)
            now = int(found.pop(""))
            answer, writes = move([found.get(name) for name in names], (now, now))
            rows = [f"({quote(k)}, {quote(e.text)}, {e.until})" for k, e in writes.items()]
            write = WRITE.format(rows=", ".join(rows)) if rows else ""
            sweep = SWEEP.format(now=now) if random() < 0.01 else ""
            connection.ask(write + sweep + "COMMIT", until)
            return answer
        except ProgrammingError as error:  # there is no such table, or no right to it
            raise StoreError(f"{self.url} refuses: {error.diag.message_primary}") from error
        except Error as error:
            raise StoreUnavailable(self.url, " ".join(str(error).split())) from error
        finally:
            connection.rest()
            connections.append(connection)
            unused.release()


@promises(*FEATURES)
def open_postgres(url: str, *, options: Mapping[str, Any], **settings: Any) -> PostgresStore:
    try:
        dsn = conninfo.make_conninfo(url, **options)
    except Error:  # what it says may have a part of the password
        raise LockConfigurationError("libpq knows no such URL, or no such option") from None
    return PostgresStore(url, dsn, **settings)
