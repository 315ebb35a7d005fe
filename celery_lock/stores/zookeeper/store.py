"""Leases and records on an ensemble of ZooKeeper: each call is a step over registers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from threading import get_ident
from typing import Any, TypeVar

from ...errors import StoreError
from ...model import Claim, Feature, Held, Lease, Outcome, Refused
from ...model.clock import monotonic
from ...model.per_process import PerProcess, look_for_fork
from .. import entries, transitions
from ..entry_names import EntryNames
from ..key_state import Interval
from ..registry import promises
from ..steps import Entry, Move, SteppedStore
from .address import Address
from .checkup import checkup, version
from .listing import named
from .registers import Contended, Registers
from .requests import GetData
from .watching import Watches

__all__ = ["ZooKeeperStore", "open_zookeeper"]

T = TypeVar("T")

_FEATURES = frozenset(Feature)


class ZooKeeperStore(SteppedStore):
    """Leases in registers of ZooKeeper.

    Args:
        url: `zookeeper://host:port,host:port/path`, with `user:password@` for the digest scheme.
        options: `username`, `password`, `ssl`; what the URL says itself comes first.
        deadline: seconds that one call may take, all in all.
        prefix: what the name of the node begins with under which all entries lie. Another prefix
            is another world of locks.

    Raises `LockConfigurationError` for a URL or an option that makes no sense. Connects at the
    first call, not before.
    """

    BATCH = 100
    """Leases that one transaction renews at most."""
    WATCH = 10.0
    """Seconds that one `watch` lasts at most."""

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        deadline: float = 2.0,
        prefix: str = "celery-lock:",
    ) -> None:
        address = Address.parse(url, options)
        super().__init__(address.shown, deadline=deadline, prefix=prefix)
        self._names = EntryNames("", longest=sys.maxsize)  # a node is named after their digest
        self._own = PerProcess(lambda: _Own(Registers(address, prefix, deadline)))
        self._hasty = _Hasty(self)

    @property
    def features(self) -> frozenset[Feature]:
        """All there are."""
        return _FEATURES

    @property
    def coarse(self) -> float:
        """The leader's clock is known to some milliseconds, and to a few more while idle."""
        return 0.02

    def step(self, names: Sequence[str], move: Move[T], within: float) -> T:
        """Read, look at the time, write, and all again where somebody else was faster."""
        look_for_fork()
        surely = len(names) > 2  # records, which are looked at; a claim mostly writes
        return self._own.value.registers.step(names, move, within, surely=surely)

    # -- leases ------------------------------------------------------------------------------

    def acquire(self, claim: Claim) -> Lease | Held:
        """Give the key, or say who has it."""
        look_for_fork()
        own = self._own.value
        own.registers.memory.doubt(self._names.state(claim.key))
        answer = super().acquire(claim)
        if claim.watching and isinstance(answer, Held):
            own.meet(answer)
        return answer

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        """Give all these keys, or none of them."""
        look_for_fork()
        own = self._own.value
        for claim in claims:
            own.registers.memory.doubt(self._names.state(claim.key))
        answer = super().acquire_all(claims)
        if isinstance(answer, Refused) and claims[answer.index].watching:
            own.meet(answer.held)
        return answer

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        """Let each lease live for so many more seconds, a hundred in one transaction.

        Where others write one of the keys meanwhile, each is renewed alone.
        """
        ends = monotonic() + (self.deadline if within is None else min(within, self.deadline))
        outcomes: list[Outcome] = []
        errors: list[StoreError] = []
        for first in range(0, len(renewals), self.BATCH):
            batch = renewals[first : first + self.BATCH]
            try:
                outcomes += self._hasty.renew(batch, within=ends - monotonic())
            except Contended:
                outcomes += [self._renewed(one, ends, errors) for one in batch]
            except StoreError as error:
                errors.append(error)
                outcomes += [Outcome.UNKNOWN for _ in batch]
        if errors and set(outcomes) == {Outcome.UNKNOWN}:
            raise errors[0]
        return outcomes

    def _renewed(
        self, renewal: tuple[Lease, float], ends: float, errors: list[StoreError]
    ) -> Outcome:
        try:
            [outcome] = super().renew([renewal], within=ends - monotonic())
        except StoreError as error:
            errors.append(error)
            return Outcome.UNKNOWN
        return outcome

    def peek(self, key: str) -> Held | None:
        """Who has the key; `None`: it is free."""
        look_for_fork()

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[Held | None, Mapping[str, Entry]]:
            return transitions.peek(entries.read_state(texts[0]), key, clock), {}

        return self._own.value.registers.step([self._names.state(key)], move, self.deadline)

    def keys(self, beginning: str) -> list[str]:
        """Name all keys that begin so; some may be free by now."""
        look_for_fork()
        return named(self._own.value.registers, self._names, beginning, self.deadline)

    # -- waiting -----------------------------------------------------------------------------

    def watch(self, key: str, timeout: float) -> None:
        """Return when `key` may be free, or after `timeout` seconds (10 at most).

        It may be when somebody has left since the claim that was refused.
        """
        look_for_fork()
        own = self._own.value
        ends = monotonic() + min(timeout, self.WATCH)
        met = own.met.pop((key, get_ident()), 0)
        _, path = own.registers.paths.entry(self._names.state(key))
        while (left := ends - monotonic()) > 0:
            watch = own.watches.at(path)
            changed = watch.enter()
            if changed is None:
                continue
            try:
                held = self._look(key, path, watch.fire)
                if held is None or len(held.holders) < met:
                    return
                met = met or len(held.holders)
                # a little more than it may need: who comes early has to come again
                changed.wait(min(left, max(held.expires_in, 0.0) + 0.005))
            finally:
                watch.leave(changed)

    def _look(self, key: str, path: str, fire: Any) -> Held | None:
        """Look at a key, and leave a watch there."""
        registers = self._own.value.registers
        node = registers.watched(self._names.state(key), GetData(path, fire), self.deadline)
        if node is None:
            return None
        text, clock = node
        return transitions.peek(entries.read_state(text), key, clock)

    # -- the rest ----------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Try the servers once: warnings for the log."""
        look_for_fork()
        return checkup(self, self._own.value.registers)

    def version(self) -> str:
        """Say what the server runs that this process is connected to; empty: it does not tell."""
        look_for_fork()
        return version(self._own.value.registers, monotonic() + self.deadline)

    def close(self) -> None:
        """End this process's session. The store works again at the next call."""
        own = self._own.drop()
        if own is not None:
            own.registers.link.close()


class _Own:
    """What one process has of a store."""

    MET = 1000
    """Refused claims that are remembered until their watch."""

    def __init__(self, registers: Registers) -> None:
        self.registers = registers
        self.watches = Watches()
        self.met: dict[tuple[str, int], int] = {}

    def meet(self, held: Held) -> None:
        """Remember how many holders the refused claim of a thread has met."""
        if len(self.met) >= self.MET:
            self.met.clear()  # a watch is a hint: without that it may come later
        self.met[held.key, get_ident()] = len(held.holders)


class _Hasty(SteppedStore):
    """The same store for renewals, which gives up as others write one of many keys."""

    def __init__(self, store: ZooKeeperStore) -> None:
        super().__init__(store.url, deadline=store.deadline, prefix="")
        self._names = store._names
        self._store = store

    def step(self, names: Sequence[str], move: Move[T], within: float) -> T:
        look_for_fork()
        registers = self._store._own.value.registers
        return registers.step(names, move, within, patient=len(names) == 1)


@promises(*Feature)
def open_zookeeper(
    url: str, *, options: Mapping[str, Any], deadline: float, prefix: str
) -> ZooKeeperStore:
    """Open a store on the ensemble at `url`; see `ZooKeeperStore`."""
    return ZooKeeperStore(url, options=options, deadline=deadline, prefix=prefix)
