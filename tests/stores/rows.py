"""A row: one fault of a store, the options it is played with, and what is promised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.services.waiting import STALL
from tests.stores.group import Group
from tests.stores.stage import Stage

__all__ = ["TTL", "Promise", "Row", "control", "nothing"]

TTL = 4.0
"""Seconds that an unrenewed lease lives, where a row says nothing else."""


@dataclass(frozen=True)
class Promise:
    """What has to be so, however often a row is played."""

    overlap: float | None = 0.0
    """The longest that two bodies of a key may be inside at once, in seconds; `None`: however
    long, it is measured and shown."""
    tokens: bool = True
    """The fencing tokens of a key grow; `False`: the store has none."""
    back_within: float = 2.0
    """Seconds from the end of `befall` to the next grant; a fail-over that begins then takes its
    own time. A busy machine may add what it stands still for."""
    failures: int = 0
    """Tasks that may end with an error."""


@dataclass(frozen=True)
class Row:
    """One fault of a kind."""

    fault: str
    """What happens, for the page: below fifteen words."""
    servers: Callable[[Path], Group]
    """Makes the servers, in a folder of their own; the row starts them."""
    befall: Callable[[Stage], None]
    """Does it; returns when all is healed that is to be healed."""
    promise: Promise = Promise()
    options: Mapping[str, Any] = field(default_factory=dict)
    """`lock_store_options`, beside those of the group."""
    ttl: float = TTL
    keys: int = 10
    """How many keys eight processes contend for; more leave more of them free when it happens."""
    body: float = 2.0
    """The longest body, as a multiple of the ttl. Three of ten bodies are long; the others take
    half a second at most."""
    before: float = 4.0
    after: float = 5.0
    """Seconds that the load goes on before and after; see `goes_on`."""
    heals: bool = False
    """All servers are as before when `befall` returns: the plays follow each other on them."""
    locked: bool = True
    """`False`: plain tasks, which nothing keeps apart."""

    @property
    def goes_on(self) -> float:
        """Seconds that the load goes on after it: a grant that is late, and still in time, has to
        be seen."""
        return max(self.after, self.promise.back_within + STALL + 1.0)

    @property
    def said(self) -> str:
        """The options, for the page."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())

    @property
    def name(self) -> str:
        """For messages, and to find its results again."""
        return f"{self.fault}, {self.said}" if self.options else self.fault


def nothing(stage: Stage) -> None:
    """The servers are well; two seconds pass."""
    stage.wait(2.0)


def control(servers: Callable[[Path], Group]) -> tuple[Row, Row]:
    """The rows that each kind begins with: the same load without a lock, and without a fault."""
    return (
        Row("no fault, tasks without a lock", servers, nothing, locked=False),
        Row("no fault", servers, nothing),
    )
