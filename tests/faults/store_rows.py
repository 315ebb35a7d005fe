"""Faults of the wire and of the server under the lock store, as data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from tests.services.proxy import Spoiling

__all__ = ["COMMANDS", "SERVER_ROWS", "SPOILT", "WIRE_ROWS", "ServerRow", "WireRow"]

COMMANDS = ("acquire", "renew", "release", "undo", "free")
"""Each is one script, and one round trip."""

SPOILT: dict[Spoiling, str] = {
    "lost": "the reply is lost, the connection stays",
    "slow": "the reply comes after the deadline",
    "cut": "the connection ends before the request arrives",
    "reset": "the connection is reset after the server has done it",
}


@dataclass(frozen=True)
class WireRow:
    """One command, and what becomes of its request or reply."""

    command: str
    how: Spoiling

    @property
    def name(self) -> str:
        """For the page."""
        return f"{self.command}: {SPOILT[self.how]}"


WIRE_ROWS = tuple(WireRow(command, how) for command, how in product(COMMANDS, SPOILT))


@dataclass(frozen=True)
class ServerRow:
    """What happens to the server while three want one key."""

    name: str
    forgets: bool = False
    """The server forgets who has the key, or believes that its time is up: the holder is told
    with its next renewal, and until then another one may be inside."""
    appendonly: bool = True
    clock: bool = False
    """It needs a server whose clock can be stepped."""


SERVER_ROWS = (
    ServerRow("killed, and restarted with its data"),
    ServerRow("killed, and restarted without its data", forgets=True, appendonly=False),
    ServerRow("frozen for a second"),
    ServerRow("CLIENT PAUSE for a second"),
    ServerRow("one client's wire swallows everything for twice the ttl"),
    ServerRow("its clock is stepped ten minutes forward", forgets=True, clock=True),
    ServerRow("its clock is stepped ten minutes back", clock=True),
)
