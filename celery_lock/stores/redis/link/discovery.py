"""Where the server is now: asked at each new connection, and told of each doubt."""

from __future__ import annotations

from typing import Protocol

from ....model.clock import monotonic
from .address import Address

__all__ = ["Directory", "FixedAddress"]

AGAIN = 1.0
"""Seconds between two times that all connections to one address are made anew."""


class Directory(Protocol):
    """Knows which server takes the writes. Threads ask it at the same time."""

    @property
    def shown(self) -> str:
        """The URL that was asked for, without user, password and query: for messages and logs."""
        ...

    @property
    def doubts(self) -> int:
        """How many doubts have changed its mind: older connections are then replaced at use."""
        ...

    @property
    def changes(self) -> bool:
        """Whether it can learn of a change by itself: `look` is called before each use then."""
        ...

    def look(self, ends: float) -> None:
        """Doubt by itself, if that is due, and take little of the time until `ends` for it."""
        ...

    def suspect(self) -> None:
        """Look at the next use: the server answers, and yet something is wrong with it."""
        ...

    def find(self, ends: float) -> Address:
        """Say where the server is now, before `ends`; or raise `StoreError`."""
        ...

    def doubt(self, address: Address) -> None:
        """Hear that the server at `address` hung, or broke a connection."""
        ...

    def demote(self, address: Address) -> None:
        """Hear that the server at `address` takes no writes."""
        ...


class FixedAddress:
    """The directory of one server, which is where its URL says, whatever happens.

    Another server may be there by now: a name or a proxy that fails over leaves older connections
    with the server that takes no writes any more.
    """

    changes = False

    def __init__(self, address: Address) -> None:
        self._address = address
        self._suspected = -AGAIN
        self.shown = address.shown
        self.doubts = 0

    def look(self, ends: float) -> None:
        """Learn nothing."""

    def suspect(self) -> None:
        """Let all connections be made anew, once a second at most."""
        now = monotonic()
        if now >= self._suspected + AGAIN:
            self._suspected = now
            self.doubts += 1

    def find(self, ends: float) -> Address:
        """Return the one address."""
        return self._address

    def doubt(self, address: Address) -> None:
        """Change nothing: what hangs, or breaks, does so alone."""

    def demote(self, address: Address) -> None:
        """Suspect it: there is no other address to ask."""
        self.suspect()
