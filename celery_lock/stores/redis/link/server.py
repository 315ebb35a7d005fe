"""Calls to the server: a connection from the process's own pool, a deadline, errors of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ....errors import StoreError
from ....model.clock import monotonic
from ....model.per_process import PerProcess, look_for_fork
from .address import Address
from .connection import Connection
from .deadline_socket import ConnectionLost, DeadlineExceeded
from .discovery import Directory, FixedAddress
from .errors import FAILURES, translated
from .pool import Pool, PoolExhausted
from .resp import ErrorReply, Reply, command
from .script import Script
from .watchers import Watchers

__all__ = ["Call", "Linking", "Server", "one_server"]

Call = tuple[Script, Sequence[str], Sequence[str | int]]
"""A script, its keys and its other arguments."""


class Server:
    """What the store says and hears, each call within `deadline` seconds.

    A call whose connection dies is sent once more: it may have been executed, so each script has
    to be one that can be repeated.
    """

    def __init__(
        self, directory: Directory, *, deadline: float, connections: int, watchers: int
    ) -> None:
        self.deadline = deadline
        self.url = directory.shown
        """Where it is, without user, password and query."""
        self._directory = directory
        self._nowhere = Address(shown=directory.shown)  # for errors before there is a connection
        self._own = PerProcess(lambda: (Pool(directory, connections), Watchers(watchers)))

    def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | int],
        within: float | None = None,
    ) -> Any:
        """Run a script with these keys and arguments, and return its answer."""
        seconds = self.deadline if within is None else self._seconds(within)
        ends = monotonic() + seconds
        pool, connection = self._take(ends, seconds)
        try:
            return _run(connection, (script, keys, args), ends)
        except FAILURES as error:
            raise self._failure(error, connection, seconds) from error
        finally:
            pool.give(connection)

    def run_unheard(self, call: Call, failed: Callable[[StoreError], None]) -> None:
        """Run a script whose answer is of no use, and do not wait for it.

        It is read when this process next uses the connection, before the command that it is used
        for. Where it died, or the server forgot the script, the script is run again then. `failed`
        hears of whatever else is wrong. A process that does nothing more hears nothing.

        The first time on a connection the answer is waited for: the server may not know the script,
        and a process that ends next would never hear so.
        """
        ends = monotonic() + self.deadline
        pool, connection = self._take(ends, self.deadline)

        def hear(error: Exception, ends: float) -> None:
            try:
                if not (isinstance(error, ConnectionLost) or _is_forgotten(error)):
                    raise error
                _run(connection, call, ends)
            except (*FAILURES, StoreError) as failure:
                failed(self._failure(failure, connection, self.deadline))
            except BaseException:
                failed(self._failure(DeadlineExceeded(), connection, self.deadline))
                raise

        try:
            script = call[0]
            if script in connection.known:
                try:
                    connection.send_unheard(script.call(*call[1:]), ends, hear)
                    return
                except ConnectionLost:
                    pass  # it is sent once more, over a new one
            _run(connection, call, ends)
            connection.known.add(script)
        except FAILURES as error:
            raise self._failure(error, connection, self.deadline) from error
        finally:
            pool.give(connection)

    def hear(self) -> None:
        """Read the answers that `run_unheard` has left in this process, which is about to leave."""
        look_for_fork()
        self._own.value[0].hear(monotonic() + self.deadline)

    def run_each(self, calls: Sequence[Call], within: float | None = None) -> list[Any]:
        """Run scripts in one round trip; return for each its answer, or its own `StoreError`.

        The scripts must not depend on each other: some may be executed and others not. One that
        ends with `StoreUnavailable` may have been executed.
        """
        if not calls:
            return []
        seconds = self._seconds(within)
        ends = monotonic() + seconds
        pool, connection = self._take(ends, seconds)
        try:
            commands = [script.call(keys, args) for script, keys, args in calls]
            outcomes = connection.exchange_each(commands, ends)
            unknown = [
                place
                for place, outcome in enumerate(outcomes)
                if isinstance(outcome, ErrorReply) and outcome.code == "NOSCRIPT"
            ]
            if unknown:
                in_full = [calls[place][0].call_in_full(*calls[place][1:]) for place in unknown]
                answers = connection.exchange_each(in_full, ends)
                for place, answer in zip(unknown, answers, strict=True):
                    outcomes[place] = answer
            return [
                self._failure(outcome, connection, seconds)
                if isinstance(outcome, Exception)
                else outcome
                for outcome in outcomes
            ]
        finally:
            pool.give(connection)

    def pop(self, key: str, seconds: float) -> bool:
        """Wait so long for an element of the list `key`, and take it out; `False`: none came."""
        seconds = max(seconds, 0.001)  # for BLPOP zero is for ever
        packed = command("BLPOP", key, f"{seconds:.3f}")
        return self._exchange(packed, self.deadline + seconds) is not None

    def say(self, *parts: str | int) -> Reply:
        """Send one command that has no key, and return its reply."""
        return self._exchange(command(*parts), self.deadline)

    def find(self) -> Address:
        """Say where the server is now."""
        return self._directory.find(monotonic() + self.deadline)

    @property
    def watchers(self) -> Watchers:
        """Who of this process may block a connection."""
        return self._own.value[1]

    def close(self) -> None:
        """End this process's connections. The next call opens one again."""
        look_for_fork()
        own = self._own.drop()
        if own is not None:
            own[0].hear(monotonic() + self.deadline)
            own[0].close()

    def _seconds(self, within: float | None) -> float:
        return self.deadline if within is None else min(within, self.deadline)

    def _exchange(self, packed: bytes, seconds: float) -> Reply:
        ends = monotonic() + seconds
        pool, connection = self._take(ends, seconds)
        try:
            return connection.exchange(packed, ends)
        except FAILURES as error:
            raise self._failure(error, connection, seconds) from error
        finally:
            pool.give(connection)

    def _take(self, ends: float, seconds: float) -> tuple[Pool, Connection]:
        look_for_fork()
        pool = self._own.value[0]
        try:
            return pool, pool.take(ends)
        except PoolExhausted as error:
            raise translated(error, self._nowhere, seconds) from error

    def _failure(self, error: Exception, connection: Connection, seconds: float) -> StoreError:
        """Return the error that is raised, or returned for one call of several."""
        if isinstance(error, StoreError):  # the directory's own
            return error
        failure = translated(error, connection.address or self._nowhere, seconds)
        failure.__cause__ = error
        return failure


class Linking(Protocol):
    """How the servers are reached that a URL names. It opens no connection yet."""

    def __call__(
        self,
        url: str,
        options: Mapping[str, Any],
        *,
        deadline: float,
        connections: int,
        watchers: int,
    ) -> Server:
        """Return the link; raise `LockConfigurationError` where the URL or an option is wrong."""
        ...


def one_server(
    url: str, options: Mapping[str, Any], *, deadline: float, connections: int, watchers: int
) -> Server:
    """Return the link to the one server that a URL names."""
    directory = FixedAddress(Address.parse(url, options))
    return Server(directory, deadline=deadline, connections=connections, watchers=watchers)


def _run(connection: Connection, call: Call, ends: float) -> Reply:
    script, keys, args = call
    try:
        return connection.exchange(script.call(keys, args), ends)
    except ErrorReply as error:
        if not _is_forgotten(error):
            raise
        # the server is new, or has been told to forget; this time it remembers
        return connection.exchange(script.call_in_full(keys, args), ends)


def _is_forgotten(error: Exception) -> bool:
    return isinstance(error, ErrorReply) and error.code == "NOSCRIPT"
