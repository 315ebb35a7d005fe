"""What a process remembers of the entries that it has seen, so that it need not read them again.

Nothing is decided by it: a transaction that was made from what is not true any more is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...model.clock import monotonic
from ...model.mutex import new_mutex
from ..stepping import Entry

__all__ = ["Memory", "Node"]

SIZE = 1000
"""Entries that are remembered at most: each some hundred bytes."""
BRIEF = 0.02
"""Seconds after which an entry is not trusted any more that others write too."""


@dataclass(frozen=True)
class Node:
    """An entry as its node holds it."""

    entry: Entry
    data: bytes
    version: int
    zxid: int
    """The change that has written it: later ones have higher numbers."""
    shard: int
    """The version that its shard had then, or before: no sweep has deleted the node unless the
    shard has a higher one now."""
    seen: float


class Memory:
    """The last entries that one process has seen. Threads may share it."""

    def __init__(self) -> None:
        self._guard = new_mutex()
        self._nodes: dict[str, Node] = {}
        self._shards: dict[str, int] = {}
        self._shared: dict[str, None] = {}

    def node(self, name: str) -> Node | None:
        """Return an entry as it was last seen; `None`: it is not remembered."""
        return self._nodes.get(name)

    def shard(self, path: str) -> int | None:
        """Return the version of a shard as it was last seen."""
        return self._shards.get(path)

    def keep_shards(self, versions: Mapping[str, int]) -> None:
        """Remember the versions of some shards."""
        self._shards.update(versions)

    def keep(self, name: str, node: Node | None) -> None:
        """Remember an entry as it was seen just now, or that there is none."""
        with self._guard:
            before = self._nodes.pop(name, None)
            if before is not None and node is not None:
                if node.zxid < before.zxid:  # another thread has seen a later one
                    node = before
                elif node.version == before.version:
                    self._shared.pop(name, None)
            if node is not None:
                self._nodes[name] = node
                if len(self._nodes) > SIZE:
                    self._nodes.pop(next(iter(self._nodes)))

    def surprised(self, names: Iterable[str], shards: Iterable[str]) -> None:
        """Learn that one of these was not as it was remembered: others write it too."""
        with self._guard:
            for shard in shards:
                self._shards.pop(shard, None)
            for name in names:
                self._shared[name] = None
                if len(self._shared) > SIZE:
                    self._shared.pop(next(iter(self._shared)))

    def doubt(self, name: str) -> None:
        """Forget an entry that others write too, unless it was seen just now.

        A claim does so: to read first costs less than a transaction that is refused.
        """
        if name in self._shared:
            with self._guard:
                node = self._nodes.get(name)
                if node is not None and monotonic() - node.seen > BRIEF:
                    self._nodes.pop(name)
