"""Entries whose time is over are deleted by who writes others: also those of crashed processes.

A sweep looks at one shard, of which it takes a sample. Nobody waits for it. It raises the version
of the shard, with which every transaction is compared: who has read one of the deleted entries
before cannot write in its place what comes after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ...model.chance import chance
from . import paths
from .clock import LeaderClock
from .link import Link
from .memory import Memory
from .requests import Change, Children, Delete, Look, SetData, first_error

__all__ = ["Sweeper"]

EVERY = 100
"""Writes of a process between two of its sweeps. Fewer keep the servers cleaner, and cost more."""
SAMPLE = 200
"""Entries that a sweep looks at: twice as many as these writes can have made."""
GRACE = 60_000_000
"""Microseconds that an entry is kept after its time. So a leader whose clock is ahead by less than
that loses nothing that another one would still count on."""


class Place(Protocol):
    """What is swept."""

    paths: paths.Paths
    link: Link
    clock: LeaderClock
    memory: Memory


class Sweeper:
    """Deletes what is over, a little at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._writes = 0

    def count(self) -> None:
        """Count a write of this process: every so many begin a sweep."""
        self._writes += 1
        if self._writes % EVERY == 0:
            shards = self._place.paths.shards
            self.sweep(shards[chance.randrange(len(shards))])

    def sweep(self, shard: str) -> None:
        """Begin a sweep of one shard."""

        def listed(children: list[Any]) -> None:
            names = children[0] if isinstance(children[0], list) else []
            some = [f"{shard}/{name}" for name in chance.sample(names, min(SAMPLE, len(names)))]
            if some:
                self._place.link.begin(Look([shard, *some]), lambda found: looked(some, found))

        def looked(some: Sequence[str], found: list[Any]) -> None:
            self._delete(shard, some, found)

        self._place.link.begin(Children([shard]), listed)

    def _delete(self, shard: str, some: Sequence[str], found: list[Any]) -> None:
        clock = self._place.clock.interval()
        if clock is None or not isinstance(found[0], tuple):
            return
        over = [
            Delete(path, one[1].version)
            for path, one in zip(some, found[1:], strict=True)
            if isinstance(one, tuple) and paths.read(one[0])[1].until + GRACE < clock[0]
        ]
        version = found[0][1].version

        def done(answer: Any) -> None:
            if first_error(answer) is None:
                self._place.memory.keep_shards({shard: version + 1})

        if over:
            # the shard first: whoever was faster with one of these entries lets all of it fail
            change = Change([SetData(shard, b"", version), *over])
            self._place.link.begin(change, done)
