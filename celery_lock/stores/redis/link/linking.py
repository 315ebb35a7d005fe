"""What a store of Redis asks of its servers, however many there are and whoever finds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ....errors import StoreError
from ...link.watchers import Watchers
from .address import Address
from .resp import Reply
from .script import Script

__all__ = ["Call", "Elsewhere", "Link", "OneServer", "seconds_of"]

Call = tuple[Script, Sequence[str], Sequence[str | int]]
"""A script, its keys and its other arguments."""

Elsewhere = Callable[[StoreError, float], None]
"""Has a call done that a server refused, before an end; raises the error where it cannot."""


def seconds_of(deadline: float, within: float | None) -> float:
    """Return the seconds that a call has whose caller may want to wait for less."""
    return deadline if within is None else min(within, deadline)


class OneServer(Protocol):
    """One of the servers, to be asked what is its own."""

    def say(self, *parts: str | int, within: float | None = None) -> Reply:
        """Send one command that has no key, and return its reply."""
        ...

    def find(self) -> Address:
        """Say where the server is now."""
        ...


class Link(Protocol):
    """The way to the servers of one store. Each call has `deadline` seconds."""

    deadline: float
    url: str
    """What was asked for, without user, password and query."""

    def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | int],
        within: float | None = None,
    ) -> Any:
        """Run a script with these keys, which are in one place, and return its answer."""
        ...

    def run_each(self, calls: Sequence[Call], within: float | None = None) -> list[Any]:
        """Run scripts in one round trip; return for each its answer, or its own `StoreError`."""
        ...

    def run_unheard(self, call: Call, failed: Callable[[StoreError], None]) -> None:
        """Run a script and do not wait; `failed` hears of an error at a later call."""
        ...

    def hear(self) -> None:
        """Read the answers that `run_unheard` has left in this process."""
        ...

    def pop(self, key: str, seconds: float) -> bool:
        """Wait so long for an element of the list `key`, and take it out; `False`: none came."""
        ...

    def servers(self) -> Sequence[OneServer]:
        """Return all that keep keys, or raise `StoreError`."""
        ...

    @property
    def watchers(self) -> Watchers:
        """Who of this process may block a connection."""
        ...

    def close(self) -> None:
        """End this process's connections. The next call opens one again."""
        ...
