"""Which keys there are: read shard by shard, so that nobody waits for it."""

from __future__ import annotations

from ...model.clock import monotonic
from ..entry_names import EntryNames
from . import paths
from .registers import Registers
from .requests import Children, Look, Sync

__all__ = ["named"]

STEP = 250
"""Entries that are read at once: some hundred kilobytes."""


def named(registers: Registers, names: EntryNames, beginning: str, deadline: float) -> list[str]:
    """Name all keys that begin so, sorted; some may be free by now."""
    shards = registers.paths.shards
    before = Sync(registers.paths.root)
    ends = monotonic() + deadline
    _, children = registers.look([before, Children(shards)], ends)
    registers.accept(children)
    states = [
        f"{shard}/{name}"
        for shard, names_of_shard in zip(shards, children, strict=True)
        for name in names_of_shard or ()  # the shards are made with the first key
        if name.startswith("l")
    ]
    keys: set[str] = set()
    for first in range(0, len(states), STEP):
        [found] = registers.look([Look(states[first : first + STEP])], monotonic() + deadline)
        registers.accept(found)
        for one in filter(None, found):  # what was there when the shard was read
            name, _ = paths.read(one[0])
            key = names.key(name)
            if key is not None and key.startswith(beginning):
                keys.add(key)
    return sorted(keys)
