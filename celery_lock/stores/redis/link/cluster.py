"""The link to a Redis Cluster: each call goes to the node that keeps its keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ....errors import StoreError, StoreUnavailable
from ....model.clock import monotonic
from ....model.per_process import PerProcess, look_for_fork
from ...link.watchers import Watchers
from .address import Address
from .care import NAIVE, Care
from .cluster_url import ClusterUrl
from .discovery import FixedAddress
from .linking import Call, seconds_of
from .nodes import Node, Nodes
from .redirection import Why, redirection_of
from .script import Script
from .server import Server
from .slots import slot_of
from .together import run_together
from .travel import LOOK, named, travel

__all__ = ["Cluster"]

ROUNDS = 3
"""Times that a batch is sent at most: once, and twice more for what was redirected."""

ELSEWHERE = 0.25
"""Seconds that who hears of a redirection spends on it: the time is that of another call."""


class Cluster:
    """What a store says to a cluster and hears from it, each call within `deadline` seconds.

    It has the face of a `Server`, and one of these for each node.
    """

    def __init__(
        self,
        url: ClusterUrl,
        *,
        deadline: float,
        connections: int,
        watchers: int,
        care: Care = NAIVE,
    ) -> None:
        self.deadline = deadline
        self.url = url.shown
        """Where it is, without user, password and query."""

        def server_at(address: Address) -> Server:
            where = FixedAddress(address)
            return Server(where, deadline=deadline, connections=connections, watchers=0, care=care)

        self._nodes = Nodes(url.seeds, url.shown, server_at)
        self._own = PerProcess(lambda: _Own(watchers))

    def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | int],
        within: float | None = None,
    ) -> Any:
        """Run a script with these keys, which share a slot, and return its answer."""
        slot = slot_of(keys[0])
        node = self._nodes.keepers[slot]
        seconds = seconds_of(self.deadline, within)
        ends = monotonic() + seconds
        if self._own.value.unheard:
            self._hear_arrived(ends)
        error: StoreError | None = None
        if node is not None and not node.doubted:
            try:
                return node.server.run(script, keys, args, seconds)
            except StoreError as failure:
                error = failure

        def ask(server: Server, left: float, asking: bool) -> Any:
            return server.run(script, keys, args, left, asking=asking)

        return travel(self._nodes, slot, ask, ends, node=node, error=error)

    def run_unheard(self, call: Call, failed: Callable[[StoreError], None]) -> None:
        """Run a script whose answer is of no use, and do not wait for it: see `Server`.

        It is read as soon as it has come, at a call of this process to whichever node.
        """
        script, keys, args = call
        slot = slot_of(keys[0])
        node = self._nodes.keepers[slot]
        own = self._own.value
        if node is None or node.doubted:
            self.run(script, keys, args)
            return

        def ask(server: Server, left: float, asking: bool) -> Any:
            return server.run(script, keys, args, left, asking=asking)

        def elsewhere(error: StoreError, ends: float) -> None:
            soon = min(ends, monotonic() + ELSEWHERE)
            travel(self._nodes, slot, ask, soon, node=node, error=error)

        try:
            own.unheard.add(node)
            node.server.run_unheard(call, failed, elsewhere)
        except StoreError as error:
            ends = monotonic() + self.deadline
            travel(self._nodes, slot, ask, ends, node=node, error=error)

    def hear(self) -> None:
        """Read the answers that `run_unheard` has left in this process, which is about to leave."""
        look_for_fork()
        ends = monotonic() + self.deadline
        unheard = self._own.value.unheard
        while unheard:
            with suppress(KeyError):
                unheard.pop().server.hear(ends)

    def run_each(self, calls: Sequence[Call], within: float | None = None) -> list[Any]:
        """Run scripts in one round trip to each node that has keys of them.

        Each has its own answer, or its own `StoreError`: a node that gives no answer leaves its own
        scripts without one, and holds up no other.
        """
        seconds = seconds_of(self.deadline, within)
        ends = monotonic() + seconds
        outcomes: list[Any] = [None] * len(calls)
        places = {at: slot_of(keys[0]) for at, (_, keys, _) in enumerate(calls)}
        keepers = {self._nodes.keepers[slot] for slot in places.values()}
        if None in keepers:
            try:
                self._nodes.draw(ends)
            except StoreError as error:
                return [error] * len(calls)
        elif any(node is not None and node.doubted for node in keepers):
            # it had all of the time at the call before, and nobody was asked for its heir
            with suppress(StoreError):
                self._nodes.draw(monotonic() + LOOK * seconds, quickly=True)
        for _ in range(ROUNDS):
            places = self._round(calls, places, outcomes, ends, seconds)
            if not places or monotonic() >= ends:
                break
        return outcomes

    def _round(
        self,
        calls: Sequence[Call],
        places: dict[int, int],
        outcomes: list[Any],
        ends: float,
        seconds: float,
    ) -> dict[int, int]:
        """Run the calls at these places, of these slots; return those to be sent once more."""
        asked: dict[Node, list[int]] = {}
        for at, slot in places.items():
            node = self._nodes.keepers[slot]
            if node is None:
                outcomes[at] = StoreUnavailable(self.url, f"no node keeps slot {slot}")
            else:
                asked.setdefault(node, []).append(at)
        answers = run_together(
            {node: [calls[at] for at in ats] for node, ats in asked.items()}, ends, seconds
        )
        again: dict[int, int] = {}
        doubtful = False
        for node, ats in asked.items():
            for at, answer in zip(ats, answers[node], strict=True):
                outcomes[at] = answer
                to = redirection_of(answer, node.host) if isinstance(answer, StoreError) else None
                if to is None:
                    node.doubted = 0.0
                    continue
                if to.place is None:
                    doubtful = doubtful or to.why is not Why.LATER
                    if to.why is not Why.LATER:
                        self._nodes.doubt(node)
                elif to.why is Why.MOVED:
                    self._nodes.moved(places[at], to.place)
                    again[at] = places[at]
                else:
                    outcomes[at] = self._ask(self._nodes.at(to.place), calls[at], ends)
        if doubtful and monotonic() < ends:
            with suppress(StoreError):
                self._nodes.draw(ends, quickly=True)
            for node, ats in asked.items():
                for at in ats:
                    keeper = self._nodes.keepers[places[at]]
                    if isinstance(outcomes[at], StoreError) and keeper is not node:
                        again[at] = places[at]
        return again

    def _ask(self, node: Node, call: Call, ends: float) -> Any:
        """Run a script on the node that its keys have gone ahead to."""
        try:
            return node.server.run(*call, max(ends - monotonic(), 0.001), asking=True)
        except StoreError as error:
            return error

    def pop(self, key: str, seconds: float) -> bool:
        """Wait so long for an element of the list `key`, and take it out; `False`: none came."""
        until = monotonic() + seconds

        def ask(server: Server, left: float, asking: bool) -> bool:
            wait = until - monotonic()
            return server.pop(key, max(wait, 0.001), left - max(wait, 0.0), asking=asking)

        return travel(self._nodes, slot_of(key), ask, until + self.deadline)

    def place_of(self, key: str) -> str:
        """Name the node that keeps a name, as far as is known: nobody is asked."""
        node = self._nodes.keepers[slot_of(key)]
        return self.url if node is None else node.server.url

    def unserved(self) -> int:
        """Return how many slots no node keeps, by the map that was seen last."""
        return self._nodes.keepers.count(None)

    def named(self, error: StoreUnavailable) -> StoreUnavailable:
        """Return the error of a node, and say so where its address is one that nodes announce."""
        return named(self._nodes, error)

    def servers(self) -> Sequence[Server]:
        """Return all that keep keys, by the map of this moment."""
        self._nodes.draw(monotonic() + self.deadline)
        return [node.server for node in self._nodes.masters()]

    @property
    def watchers(self) -> Watchers:
        """Who of this process may block a connection."""
        return self._own.value.watchers

    def close(self) -> None:
        """End this process's connections. The next call opens some again."""
        self.hear()
        for node in self._nodes.all():
            node.server.close()

    def _hear_arrived(self, ends: float) -> None:
        """Read what has come of what was left unread, whichever node has sent it."""
        look_for_fork()
        unheard = self._own.value.unheard
        for node in list(unheard):
            if node.server.hear_arrived(ends):
                unheard.discard(node)


class _Own:
    """What one process has of a cluster, beside its connections."""

    def __init__(self, watchers: int) -> None:
        self.watchers = Watchers(watchers)
        self.unheard: set[Node] = set()
        """The nodes that owe it answers that nobody waits for."""
