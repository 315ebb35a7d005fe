"""How the nodes get connected: each by a thread of its own that ends, and nobody waits for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from ...errors import StoreError
from ...model.clock import monotonic
from .answers import SILENT, Silent
from .node import Node, Opened
from .wire import Wire

__all__ = ["Gathering"]

GATHER = 0.05
"""Seconds that the first call waits for the rest of the nodes when a majority is connected."""


class Gathering:
    """One place for a connection to each node. Not for two threads at once."""

    def __init__(self, nodes: Sequence[Node], deadline: float) -> None:
        self.wires = [Wire() for _ in nodes]
        self.is_closed = False
        """Connections that are still to come are of no use."""
        self._nodes = nodes
        self._deadline = deadline
        self._majority = len(nodes) // 2 + 1
        self._opened: dict[int, Opened | None] = {}
        """What threads that connect have handed over."""
        self._connecting: set[int] = set()
        self._majority_since = 0.0
        self._settled = threading.Event()

    def gather(self, ends: float, votes: bool) -> None:
        """See to it that a majority is connected, and votes, if that is possible before `ends`."""
        for at, wire in enumerate(self.wires):
            node = self._nodes[at]
            if not wire.connected and at not in self._connecting and node.may_connect():
                self._connecting.add(at)
                node.connect(self._deadline, partial(self._hand_over, at), self._same_as(at))
        while self._connecting:
            self._settled.clear()
            self.collect()
            until = ends
            now = monotonic()
            ready = [one.connected and not (votes and one.is_young) for one in self.wires]
            if sum(ready) >= self._majority:
                if all(self._nodes[at].error for at in self._connecting):
                    break  # they have been away before
                until = min(until, self._majority_since + GATHER)
            if not self._connecting or until <= now:
                break
            self._settled.wait(until - now)

    def collect(self) -> None:
        """Use the connections that have come about meanwhile."""
        while self._opened:
            at, opened = self._opened.popitem()
            self._connecting.discard(at)
            if opened is not None:
                self.wires[at].open(opened.connection, opened.votes_from)
                self._majority_since = monotonic()

    def _hand_over(self, at: int, opened: Opened | None) -> None:
        """Take an outcome from the thread that has connected."""
        if self.is_closed and opened is not None:
            opened.connection.close()
            opened = None
        self._opened[at] = opened
        self._settled.set()

    def _same_as(self, at: int) -> Callable[[str], str]:
        def same(run_id: str) -> str:
            others = (node for node in self._nodes if node is not self._nodes[at])
            return next((one.shown for one in others if run_id and one.run_id == run_id), "")

        return same

    def failure(self, at: int) -> StoreError | Silent:
        """Return why a node could not be asked. Raises an error that is no node's."""
        error = self._nodes[at].error
        if error is None:  # it is connecting, or has just lost its connection
            return SILENT
        if not isinstance(error, StoreError):
            raise error
        return error

    def drop(self) -> None:
        """End the connections that have come about meanwhile."""
        while self._opened:
            at, opened = self._opened.popitem()
            self._connecting.discard(at)
            if opened is not None:
                opened.connection.close()
