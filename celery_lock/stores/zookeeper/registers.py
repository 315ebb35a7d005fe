"""Entries as registers: each is read with its version, and written if that is still its version.

A step reads its entries, lets the move look, and writes in one transaction that does nothing unless
all that was read stands as it was. What was written by this process last is remembered: then a step
begins with the transaction. What is only looked at is read behind a sync, since the server of this
session may lag behind the others.

A node that was deleted and made again begins with version 0 again. So each transaction also
compares the version of the node above, which every sweep raises (`sweeping.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError
from kazoo.security import CREATOR_ALL_ACL, OPEN_ACL_UNSAFE

from ...errors import StoreError, StoreUnavailable
from ...model.clock import monotonic
from ..key_state import Interval
from ..stepping import Move
from . import paths
from .address import Address
from .clock import FRESH, USABLE, LeaderClock
from .link import Broken, Link
from .memory import Memory, Node
from .paths import Paths
from .refusals import refused
from .requests import (
    Change,
    CheckVersion,
    Create,
    Delete,
    Look,
    SetData,
    Sync,
    first_error,
)
from .rooting import make_root
from .sweeping import Sweeper

__all__ = ["Contended", "Registers"]

T = TypeVar("T")

LARGEST = 1_000_000
"""Bytes of one transaction. The servers close the connection on who sends more than their
jute.maxbuffer, which is 1,048,575 bytes unless it was changed."""


@dataclass(frozen=True)
class _Sight:
    """What a step has before it: its entries and their shards, and the time."""

    nodes: Mapping[str, Node | None]
    shards: Mapping[str, int]
    clock: Interval
    current: bool
    """It was read behind a sync, and with a fresh note of the time: it may be judged by."""


class Contended(Exception):
    """Somebody else has written one of the entries meanwhile: nothing was done."""


class Registers:
    """The entries of one prefix, as one process sees them."""

    def __init__(self, address: Address, prefix: str, deadline: float) -> None:
        self._address = address
        self.paths = Paths(address.chroot, prefix)
        self.link = Link(address, deadline)
        self.clock = LeaderClock()
        self.memory = Memory()
        self._acl = CREATOR_ALL_ACL if address.login else OPEN_ACL_UNSAFE
        self.sweeper = Sweeper(self)
        self._sessions = 0

    def step(
        self,
        names: Sequence[str],
        move: Move[T],
        within: float,
        *,
        surely: bool = True,
        patient: bool = True,
    ) -> T:
        """Read, look at the time, write: nobody else in between.

        Args:
            names: of the entries.
            move: says what to write, and the answer.
            within: seconds that it may take.
            surely: read at once what the leader knows, as who only looks has to in the end.
            patient: try again when others wrote one of these entries meanwhile.
        """
        ends = monotonic() + within
        sight = self._remembered(names)
        unsure: list[tuple[T, Mapping[str, bytes]]] = []
        surely = surely or sight is not None
        while True:
            try:
                if sight is None:
                    sight = self._seen(names, ends, surely)
                for answer, data in unsure:
                    if _stands(sight, data):
                        return answer
                answer, writes = move([_text(sight.nodes[name]) for name in names], sight.clock)
                if not writes and sight.current:
                    return answer
                if writes:
                    data = {name: paths.written(name, entry) for name, entry in writes.items()}
                    unsure.append((answer, data))
                    self._write(sight, data, ends)
                    return answer
            except Contended:
                unsure.pop()
                if sight is not None and sight.current and not patient:
                    raise
                if monotonic() >= ends:
                    raise StoreUnavailable(
                        self._address.shown, "others kept writing the same key all the time"
                    ) from None
            except Broken as error:
                if monotonic() >= ends:
                    raise StoreUnavailable(
                        self._address.shown, "the connection broke, and the next one as well"
                    ) from error
            sight, surely = None, True

    def watched(self, name: str, request: Any, within: float) -> tuple[str, Interval] | None:
        """Read one entry with a watch; `None`: it is not there, or nothing is known of the time.

        Without a sync: the server that the watch is on has seen all that this session has seen.
        """
        try:
            [found] = self.look([request], monotonic() + within)
        except Broken:
            return None
        clock = self.clock.interval()
        if isinstance(found, NoNodeError) or clock is None:
            return None
        return paths.read(found[0])[1].text, clock

    @property
    def verified(self) -> bool:
        """Nobody can stand in between unseen: TLS is verified, or there is none to begin with."""
        tls = self._address.tls
        return tls is None or bool(tls["verify_certs"])

    def look(self, requests: Sequence[Any], ends: float) -> list[Any]:
        """Ask, and raise the first error of an answer."""
        answers = self._ask(requests, ends)
        self.accept(answers)
        return answers

    def accept(self, answers: Sequence[Any]) -> None:
        """Raise the first error, but for a node that is not there."""
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, NoNodeError):
                raise refused(answer, self._address) from answer

    def _reached(self, ends: float) -> float:
        """Return the moment at which there is a connection, and a request can go out.

        What it takes to come about is no part of a request: it would make the time of the leader
        known that much more roughly, and what is written by it would lie in the future.
        """
        self.link.reach(ends)
        return self.clock.now()

    def _ask(self, requests: Sequence[Any], ends: float) -> list[Any]:
        answers = self.link.ask(requests, ends)
        self._look_for_leader()
        return answers

    def _look_for_leader(self) -> None:
        """A new connection may be one to another leader, whose clock is another one."""
        if self._sessions != self.link.sessions:
            self._sessions = self.link.sessions
            self.clock.forget()

    # -- reading -----------------------------------------------------------------------------

    def _remembered(self, names: Sequence[str]) -> _Sight | None:
        """Return what this process knows since it has seen it; what it does not is not there."""
        self._look_for_leader()
        clock = self.clock.interval()
        if clock is None or self.clock.age() > USABLE or not names:
            return None
        nodes = {name: self.memory.node(name) for name in names}
        if nodes[names[0]] is None:
            return None
        shards: dict[str, int] = {}
        for name, node in nodes.items():
            shard, _ = self.paths.entry(name)
            version = self.memory.shard(shard) if node is None else node.shard
            if version is None:
                return None
            shards[shard] = min(version, shards.get(shard, version))
        return _Sight(nodes, shards, clock, False)

    def _seen(self, names: Sequence[str], ends: float, surely: bool) -> _Sight:
        """Read entries as they stand now; or as one server knows them, which a write finds out."""
        places = [self.paths.entry(name) for name in names]
        shards = {shard: self.memory.shard(shard) for shard, _ in places}
        # an older version of a shard will do: no sweep has come by since it was read
        unknown = [shard for shard, version in shards.items() if version is None]
        look = Look([*unknown, *(path for _, path in places)])
        noted: Any = None
        while True:
            before: list[Any] = []
            if self.clock.age() > (FRESH if surely else USABLE):
                surely, before = True, [SetData(self.paths.clock, b"", -1)]
            elif surely:
                before = [Sync(self.paths.root)]
            sent = self._reached(ends)
            *noted, found = self.look([*before, look], ends)
            gone = any(isinstance(one, NoNodeError) for one in noted)
            if not gone and None not in found[: len(unknown)]:
                break
            make_root(self.link, self._address, self.paths, self._acl, ends)
        for one in noted:
            if not isinstance(one, str):  # what a sync answers
                self.clock.heard(one.mtime, sent)
        self.accept(found)
        clock = self.clock.interval()
        if clock is None:  # there is another leader since then
            raise Broken
        versions = {
            shard: found[unknown.index(shard)][1].version if version is None else version
            for shard, version in shards.items()
        }
        self.memory.keep_shards(versions)
        nodes: dict[str, Node | None] = {}
        for name, (shard, _), one in zip(names, places, found[len(unknown) :], strict=True):
            now = self.clock.now()
            nodes[name] = node = (
                None if one is None else _node(one[0], one[1], versions[shard], now)
            )
            self.memory.keep(name, node)
        return _Sight(nodes, versions, clock, surely)

    # -- writing -----------------------------------------------------------------------------

    def _write(self, sight: _Sight, data: Mapping[str, bytes], ends: float) -> None:
        operations: list[Any] = [CheckVersion(path, v) for path, v in sight.shards.items()]
        places: dict[str, int] = {}
        for name, node in sight.nodes.items():
            _, path = self.paths.entry(name)
            if name in data:
                if node is None:  # the answer to this says nothing, the one to the next says when
                    operations.append(Create(path, b"", self._acl, 0))
                places[name] = len(operations)
                operations.append(SetData(path, data[name], 0 if node is None else node.version))
            elif node is not None:
                operations.append(CheckVersion(path, node.version))
            else:  # it must not be there, and there is no other way to say so
                operations += [Create(path, b"", self._acl, 0), Delete(path, 0)]
        size = sum(map(len, data.values())) + 100 * len(operations)
        if size > LARGEST:
            raise StoreError(
                f"{self._address.shown} takes no more than a megabyte at once (jute.maxbuffer), and"
                f" this would be {size} bytes"
            )
        sent = self._reached(ends)
        [answer] = self._ask([Change(operations)], ends)
        error = first_error(answer)
        if error is not None:
            self.memory.surprised(data, sight.shards)
            if isinstance(error, (BadVersionError, NodeExistsError, NoNodeError)):
                raise Contended from error
            raise refused(error, self._address) from error
        for name, place in places.items():
            status = answer[place]
            self.clock.heard(status.mtime, sent)
            version = sight.shards[self.paths.entry(name)[0]]
            self.memory.keep(name, _node(data[name], status, version, self.clock.now()))
        self.sweeper.count()


def _text(node: Node | None) -> str | None:
    return None if node is None else node.entry.text


def _node(data: bytes, status: Any, shard: int, now: float) -> Node:
    _, entry = paths.read(data)
    return Node(entry, data, status.version, status.mzxid, shard, now)


def _stands(sight: _Sight, data: Mapping[str, bytes]) -> bool:
    nodes = {name: sight.nodes[name] for name in data}
    return all(node is not None and node.data == data[name] for name, node in nodes.items())
