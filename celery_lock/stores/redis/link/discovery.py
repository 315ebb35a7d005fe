"""Where the server is now: asked at each new connection, and told of each doubt."""

from __future__ import annotations

from typing import Protocol

from .address import Address

__all__ = ["Directory", "FixedAddress"]


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

    def find(self, ends: float) -> Address:
        """Say where the server is now, before `ends`; or raise `StoreError`."""
        ...

    def doubt(self, address: Address) -> None:
        """Hear that the server at `address` hung, broke a connection or takes no writes."""
        ...


class FixedAddress:
    """The directory of one server, which is where its URL says, whatever happens."""

    doubts = 0

    def __init__(self, address: Address) -> None:
        self._address = address
        self.shown = address.shown

    def find(self, ends: float) -> Address:
        """Return the one address."""
        return self._address

    def doubt(self, address: Address) -> None:
        """Change nothing: there is nobody else to ask."""
