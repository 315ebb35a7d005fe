"""Calls to the server: a connection from the process's own pool, a deadline, errors of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ....errors import StoreError
from ....model.clock import monotonic
from ....model.per_process import PerProcess, look_for_fork
from ...link.deadline_socket import ConnectionLost, DeadlineExceeded
from ...link.watchers import Watchers
from .address import Address
from .begun import Begun, begin
from .care import NAIVE, Care
from .connection import Connection
from .discovery import Directory
from .errors import FAILURES, translated
from .linking import Call, Elsewhere, seconds_of
from .pool import Pool, PoolExhausted
from .resp import ErrorReply, Reply, command
from .script import Script
from .scripting import (
    Say,
    ask,
    claims,
    in_full_where_forgotten,
    is_forgotten,
    lasts,
    packed,
    plainly,
    run_script,
)

__all__ = ["Call", "Server"]


class Server:
    """What the store says and hears, each call within `deadline` seconds.

    A call whose connection dies is sent once more: it may have been executed, so each script has
    to be one that can be repeated.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        deadline: float,
        connections: int,
        watchers: int,
        care: Care = NAIVE,
    ) -> None:
        self.deadline = deadline
        self.url = directory.shown
        """Where it is, without user, password and query."""
        self._directory = directory
        self._nowhere = Address(shown=directory.shown)  # for errors before there is a connection
        self._care = care
        self._own = PerProcess(
            lambda: (Pool(directory, connections, care.guard), Watchers(watchers))
        )

    def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | int],
        within: float | None = None,
        *,
        asking: bool = False,
    ) -> Any:
        """Run a script with these keys and arguments, and return its answer.

        `asking`: another node of a cluster has sent us here, where the keys are on their way to.
        """
        seconds = self.deadline if within is None else seconds_of(self.deadline, within)
        ends = monotonic() + seconds
        pool, connection = self._take(ends, seconds)
        try:
            how = plainly
            if asking or self._care is not NAIVE:
                how = self._say(script, asking)
            return run_script(connection, (script, keys, args), ends, how)
        except FAILURES as error:
            raise self._failure(error, connection, seconds) from error
        finally:
            pool.give(connection)

    def run_unheard(
        self,
        call: Call,
        failed: Callable[[StoreError], None],
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Run a script whose answer is of no use, and do not wait for it.

        It is read when this process next uses the connection, before the command that it is used
        for. Where it died, or the server forgot the script, the script is run again then. `failed`
        hears of whatever else is wrong. A process that does nothing more hears nothing.
        `elsewhere` is asked first about what the server has refused: another one may do it.

        The first time on a connection the answer is waited for: the server may not know the script,
        and a process that ends next would never hear so.
        """
        if self._care.wants(call[0]):
            self.run(*call)
            return
        ends = monotonic() + self.deadline
        pool, connection = self._take(ends, self.deadline)

        def hear(error: Exception, ends: float) -> None:
            try:
                if isinstance(error, ConnectionLost) or is_forgotten(error):
                    run_script(connection, call, ends)
                elif elsewhere is None or not isinstance(error, ErrorReply):
                    raise error
                else:
                    elsewhere(self._failure(error, connection, self.deadline), ends)
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
            run_script(connection, call, ends)
            connection.known.add(script)
        except FAILURES as error:
            raise self._failure(error, connection, self.deadline) from error
        finally:
            pool.give(connection)

    def hear(self, ends: float | None = None) -> None:
        """Read the answers that `run_unheard` has left in this process, which is about to leave."""
        look_for_fork()
        self._own.value[0].hear(monotonic() + self.deadline if ends is None else ends)

    def hear_arrived(self, ends: float) -> bool:
        """Read those of them that have come, and wait for none; `True`: that was all."""
        return self._own.value[0].hear_arrived(ends)

    def run_each(self, calls: Sequence[Call], within: float | None = None) -> list[Any]:
        """Run scripts in one round trip; return for each its answer, or its own `StoreError`.

        The scripts must not depend on each other: some may be executed and others not. One that
        ends with `StoreUnavailable` may have been executed.
        """
        if not calls:
            return []
        seconds = seconds_of(self.deadline, within)
        ends = monotonic() + seconds
        pool, connection = self._take(ends, seconds)
        try:
            outcomes = self._exchange_each(connection, packed(calls), calls, ends)
            return self._answers(calls, outcomes, connection, ends, seconds)
        finally:
            pool.give(connection)

    def begin_each(
        self, calls: Sequence[Call], ends: float, seconds: float, connect_by: float | None = None
    ) -> Begun | None:
        """Send what `run_each` sends, and do not wait for the answers.

        `seconds` is what the whole call has, which ends at `ends`. Without `connect_by` nothing at
        all is waited for: `None` says that there is no connection that works. With it one is made,
        or `StoreError` raised at that time.
        """
        try:
            pool, connection = self._take(connect_by or 0.0, seconds)
        except StoreError:  # all are in use
            if connect_by is None:
                return None
            raise

        def answers(outcomes: Sequence[Reply | Exception]) -> list[Any]:
            return self._answers(calls, outcomes, connection, ends, seconds)

        try:
            return begin(pool, connection, calls, self._care, answers, ends, connect_by)
        except FAILURES as error:
            if connect_by is None:
                return None
            raise self._failure(error, connection, seconds) from error

    def _answers(
        self,
        calls: Sequence[Call],
        outcomes: Sequence[Reply | Exception],
        connection: Connection,
        ends: float,
        seconds: float,
    ) -> list[Any]:
        """Return for each call its answer or its error; scripts that the server lacks are run."""
        again = partial(self._exchange_each, connection)
        return [
            self._failure(outcome, connection, seconds)
            if isinstance(outcome, Exception)
            else outcome
            for outcome in in_full_where_forgotten(again, calls, outcomes, ends)
        ]

    def _exchange_each(
        self, connection: Connection, commands: Sequence[bytes], calls: Sequence[Call], ends: float
    ) -> Sequence[Reply | Exception]:
        """Send these commands, one for each of the calls."""
        if not any(self._care.wants(script) for script, _, _ in calls):
            return connection.exchange_each(commands, ends)
        return self._care.each(connection, commands, ends, lasts=lasts(calls), claims=claims(calls))

    def _say(self, script: Script, asking: bool) -> Say:
        """Return how a script is sent."""
        if not self._care.wants(script):
            return ask if asking else plainly

        def carefully(connection: Connection, command: bytes, ends: float) -> Reply:
            return self._care.exchange(connection, script, command, ends, asking=asking)

        return carefully

    def pop(
        self, key: str, seconds: float, within: float | None = None, *, asking: bool = False
    ) -> bool:
        """Wait so long for an element of the list `key`, and take it out; `False`: none came.

        `within` is what the server has for its answer beyond that; `asking` is as in `run`.
        """
        seconds = max(seconds, 0.001)  # for BLPOP zero is for ever
        pop = command("BLPOP", key, f"{seconds:.3f}")
        longest = seconds_of(self.deadline, within) + seconds
        return self._exchange(pop, longest, ask if asking else plainly) is not None

    def say(self, *parts: str | int, within: float | None = None) -> Reply:
        """Send one command that has no key, and return its reply."""
        return self._exchange(command(*parts), seconds_of(self.deadline, within))

    def servers(self) -> Sequence[Server]:
        """Return all that keep keys: this one."""
        return (self,)

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

    def _exchange(self, command: bytes, seconds: float, how: Say = plainly) -> Reply:
        ends = monotonic() + seconds
        pool, connection = self._take(ends, seconds)
        try:
            return how(connection, command, ends)
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
