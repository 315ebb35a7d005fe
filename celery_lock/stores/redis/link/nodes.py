"""The nodes of a cluster, and which of them keeps which slot, as far as this process knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ....errors import StoreError, StoreUnavailable
from ....model.chance import chance
from ....model.clock import monotonic
from ...link.urls import written
from .address import Address
from .resp import ErrorReply
from .server import Server
from .slots import SLOTS, Place, shards_of

__all__ = ["Node", "Nodes"]

LEAST = 0.1
"""Seconds that a node has at least to show its map, if there are as many."""

DOUBT = 1.0
"""Seconds for which a node that gave no answer is not asked for the map by who is in a hurry."""


class Node:
    """One node, and whether it has lately failed to answer."""

    __slots__ = ("doubted", "host", "server")

    def __init__(self, host: str, server: Server) -> None:
        self.host = host
        self.server = server
        self.doubted = 0.0
        """When it gave no answer, if none has come since; else 0."""


class Nodes:
    """All that is known of a cluster. Threads use it at the same time; each step is atomic."""

    def __init__(
        self, seeds: Sequence[Address], shown: str, make: Callable[[Address], Server]
    ) -> None:
        self._seeds = [(address.host, address.port) for address in seeds]
        self._like = seeds[0]
        self.shown = shown
        self._make = make
        self._known: dict[Place, Node] = {}
        self.keepers: list[Node | None] = [None] * SLOTS
        """The node that keeps each slot; `None`: no node is known to."""

    def at(self, place: Place) -> Node:
        """Return the node at a place."""
        node = self._known.get(place)
        if node is None:
            host, port = place
            scheme = "redis" if self._like.tls is None else "rediss"
            address = replace(
                self._like, shown=f"{scheme}://{written(host, port)}", host=host, port=port
            )
            node = self._known.setdefault(place, Node(host, self._make(address)))
        return node

    def is_seed(self, node: Node) -> bool:
        """Whether the URL names it; the others are known by what nodes say."""
        return any(self._known.get(place) is node for place in self._seeds)

    def moved(self, slot: int, place: Place) -> Node:
        """Note that a slot is kept at a place, and return the node there."""
        node = self.keepers[slot] = self.at(place)
        return node

    def all(self) -> list[Node]:
        """Return all nodes that were ever used and still belong to the cluster."""
        return list(self._known.values())

    def masters(self) -> list[Node]:
        """Return the nodes that keep slots."""
        return list(dict.fromkeys(node for node in list(self.keepers) if node is not None))

    def doubt(self, node: Node) -> None:
        """Note that a node gave no answer."""
        node.doubted = monotonic()

    def draw(self, ends: float, *, quickly: bool = False) -> None:
        """Ask for the map of the slots, before `ends`, whoever may show it.

        Nodes in doubt are asked last. `quickly`: one that came into doubt just now is not asked at
        all. Raises `StoreError` where nobody shows one.
        """
        now = monotonic()
        places = list(dict.fromkeys([*self._known, *self._seeds]))
        chance.shuffle(places)  # a node that is cut off from the others does not know so
        nodes = [self.at(place) for place in places]
        nodes.sort(key=lambda node: node.doubted > 0)
        if quickly:
            nodes = [node for node in nodes if node.doubted < now - DOUBT]
        failure: StoreError | None = None
        for number, node in enumerate(nodes):
            left = ends - monotonic()
            if left <= 0:
                break
            share = max(left / (len(nodes) - number), min(LEAST, left))
            try:
                if self._read(node, share):
                    return
            except StoreUnavailable as error:
                self.doubt(node)
                failure = failure or error
        raise failure or StoreUnavailable(
            self.shown, "none of its nodes shows which of them keeps what"
        )

    def _read(self, node: Node, seconds: float) -> bool:
        """Take over the map that a node shows; `False`: it has none."""
        try:
            reply = node.server.say("CLUSTER", "SLOTS", within=seconds)
        except StoreError as error:
            cause = error.__cause__
            if isinstance(cause, ErrorReply) and cause.code == "NOPERM":
                # who may not see the map is sent to the right node by each wrong one
                self.keepers = [keeper or node for keeper in self.keepers]
                return True
            if "cluster support disabled" in str(cause):
                raise StoreError(
                    f"{node.server.url} is no node of a Redis Cluster: set lock_store to"
                    " redis://host:port, with the address of that server"
                ) from error
            raise
        node.doubted = 0.0
        keepers: list[Node | None] = [None] * SLOTS
        places = set(self._seeds)
        for shard in shards_of(reply, node.host):
            keepers[shard.first : shard.last + 1] = [self.at(shard.master)] * (
                shard.last + 1 - shard.first
            )
            places.update((shard.master, *shard.replicas))
            for place in shard.replicas:
                self.at(place)
        if not any(keepers):
            return False
        self.keepers = keepers
        for place in set(self._known) - places:  # it belongs to the cluster no more
            self._known.pop(place, None)
        return True
