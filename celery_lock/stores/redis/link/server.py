"""Calls to one server: a connection from the process's own pool, a deadline, errors of ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import monotonic
from typing import Any

from .address import Address
from .errors import TROUBLE, code_of, translated
from .pool import Pool
from .resp import Refused, Reply, command
from .script import Script
from .watch_slots import Turns

__all__ = ["Server"]


class Server:
    """What the store says and hears, each call within `deadline` seconds."""

    def __init__(
        self, address: Address, *, deadline: float, connections: int, watchers: int
    ) -> None:
        self.address = address
        self.deadline = deadline
        self._connections = connections
        self._watchers = watchers
        self._own: dict[int, tuple[Pool, Turns]] = {}

    def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | int],
        within: float | None = None,
    ) -> Any:
        """Run a script with these keys and arguments, and return its answer."""
        seconds = self.deadline if within is None else min(within, self.deadline)
        ends = monotonic() + seconds
        pool, _ = self._of_process()
        try:
            wire = pool.take(ends)
            try:
                return wire.exchange(script.call(keys, args), ends)
            except Refused as refused:
                if code_of(refused) != "NOSCRIPT":
                    raise
                # the server is new, or has been told to forget; this time it remembers
                return wire.exchange(script.call_in_full(keys, args), ends)
            finally:
                pool.give(wire)
        except TROUBLE as error:
            raise translated(error, self.address, seconds) from error

    def say(self, *parts: str | int, blocks: float = 0.0) -> Reply:
        """Send one command, which the server may answer `blocks` seconds late on purpose."""
        seconds = self.deadline + blocks
        ends = monotonic() + seconds
        pool, _ = self._of_process()
        try:
            wire = pool.take(ends)
            try:
                return wire.exchange(command(*parts), ends)
            finally:
                pool.give(wire)
        except TROUBLE as error:
            raise translated(error, self.address, seconds) from error

    @property
    def turns(self) -> Turns:
        """Who of this process may block a connection."""
        return self._of_process()[1]

    def close(self) -> None:
        """End this process's connections. The next call opens one again."""
        own = self._own.pop(os.getpid(), None)
        if own is not None:
            own[0].close()

    def _of_process(self) -> tuple[Pool, Turns]:
        """Return this process's own pool.

        A child that was forked finds its parent's, with sockets that are not its own to use and
        perhaps a lock that nobody will ever open: it leaves them alone and makes new ones.
        """
        pid = os.getpid()
        own = self._own.get(pid)
        if own is None:
            new = Pool(self.address, self._connections), Turns(self._watchers)
            own = self._own.setdefault(pid, new)  # atomic: one of several threads wins
            for other in list(self._own):
                if other != pid:
                    self._own.pop(other, None)
        return own
