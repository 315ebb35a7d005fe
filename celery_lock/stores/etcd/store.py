"""Leases and records on an etcd cluster: a claim and a release are one transaction each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import StoreError
from ...model import (
    Change,
    Changed,
    Claim,
    Completion,
    End,
    Feature,
    Held,
    Lease,
    Outcome,
    Record,
    Refused,
    Release,
)
from ...model.claim import checked_together
from ...model.durations import checked
from ..registry import promises
from . import claiming, freeing, publications, records, releasing, renewing
from .address import Address
from .checkup import checkup, version
from .gateway import Gateway
from .names import decoded
from .place import Place
from .txn import TXN, read, txn
from .watching import Watching

__all__ = ["EtcdStore", "open_etcd"]

_FEATURES = frozenset(Feature) - {Feature.CLOCK}


class EtcdStore:
    """Leases on one cluster.

    Args:
        url: `etcd://host1:2379,host2:2379,host3:2379`, or `etcds://` over TLS.
        options: `username`, `password`, `ssl`; what the URL says itself comes first.
        deadline: seconds that one call may take, all in all. Longer waits for a slow cluster, and
            for the election of a leader; shorter requeues sooner when it does not answer.
        prefix: what the name of every entry begins with. Another prefix is another world of locks.

    Raises `LockConfigurationError` for a URL or an option that makes no sense. Connects at the
    first call, not before.
    """

    CONNECTIONS = 10
    """Connections of one process at most, without those of the watchers."""
    WATCHERS = 4
    """How many may wait for a key at a time, each over a connection of its own."""

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        deadline: float = 2.0,
        prefix: str = "celery-lock:",
    ) -> None:
        address = Address.parse(url, options)
        self._gateway = Gateway(address, deadline=deadline, connections=self.CONNECTIONS)
        self._place = Place(self._gateway, prefix)
        self._watching = Watching(self._place, self._gateway, self.WATCHERS)

    def __repr__(self) -> str:
        return f"<EtcdStore {self.url}>"

    @property
    def url(self) -> str:
        """Where it is, without user, password and query."""
        return self._gateway.shown

    @property
    def features(self) -> frozenset[Feature]:
        """What it promises: all but a clock, which etcd does not have."""
        return _FEATURES

    @property
    def coarse(self) -> float:
        """It measures in seconds, and a lease lives for two of them at least."""
        return 2.0

    # -- leases ------------------------------------------------------------------------------

    def acquire(self, claim: Claim) -> Lease | Held:
        """Give the key, or say who has it."""
        answer = claiming.acquire_all(self._place, [claim])
        if isinstance(answer, Refused):
            if claim.watching:
                self._watching.remember(answer.held)
            return answer.held
        return answer[0]

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        """Give all these keys, or none of them."""
        checked_together(claims)
        if not claims:
            return []
        answer = claiming.acquire_all(self._place, claims)
        if isinstance(answer, Refused) and claims[answer.index].watching:
            self._watching.remember(answer.held)
        return answer

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        """Let each lease live for so many more seconds, all in one round trip."""
        for _, seconds in renewals:
            checked(seconds, "ttl")
        return renewing.renew(self._place, renewals, within) if renewals else []

    def probe(self, key: str, within: float) -> None:
        """Read a key as a claim does: without a majority there is no answer to that."""
        self._place.call(within).ask(TXN, txn([], [read(self._place.names.key(key))]))

    def release(self, lease: Lease, end: End | None = None) -> Release:
        """Give the key back, and record what is to be recorded."""
        answer = releasing.release_all(self._place, [(lease, end)])[0]
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def release_all(
        self, releases: Sequence[tuple[Lease, End | None]]
    ) -> list[Release | StoreError]:
        """Give keys back, all in one round trip."""
        return releasing.release_all(self._place, releases)

    def complete(self, completions: Sequence[Completion]) -> None:
        """Let these publications be completed from now on."""
        publications.complete(self._place, completions)

    def free(self, key: str, holder: str, *, floor: bool = False) -> Held | None:
        """End the lease of a holder that cannot give it back any more."""
        return freeing.free(self._place, key, holder, floor=floor)

    def undo(self, claim: Claim) -> None:
        """Take back a claim whose answer is not known."""
        freeing.undo(self._place, claim)

    def peek(self, key: str) -> Held | None:
        """Who has the key; `None`: it is free."""
        return freeing.peek(self._place, key)

    def keys(self, beginning: str) -> list[str]:
        """Name all keys that begin so and are taken."""
        names = self._place.names
        found = map(names.key_of, map(decoded, self._place.call().names(names.keys(beginning))))
        return sorted({key for key, kind in found if kind[0] in "fl"})

    # -- records -----------------------------------------------------------------------------

    def change(self, change: Change) -> Changed:
        """Write a record if it is as expected, and say how it stands."""
        return records.change(self._place, change)

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        """Return these records in this order, and the time by this machine's clock."""
        return records.records(self._place, space, names)

    def names(self, space: str) -> list[str]:
        """Name all records of a space that are alive."""
        return records.names(self._place, space)

    # -- the rest ----------------------------------------------------------------------------

    def watch(self, key: str, timeout: float) -> None:
        """Return when `key` may be free, or after `timeout` seconds (10 at most).

        All who watch a key are woken by a release, one in each process.
        """
        self._watching.watch(key, timeout)

    def check(self) -> list[str]:
        """Try the cluster once: warnings for the log."""
        return checkup(self, self._gateway)

    def version(self) -> str:
        """Say what the member runs that is asked now; empty: it does not tell."""
        return version(self._gateway)

    def close(self) -> None:
        """Give up this process's connections. The store works again at the next call."""
        self._gateway.close()


@promises(*_FEATURES)
def open_etcd(url: str, *, options: Mapping[str, Any], deadline: float, prefix: str) -> EtcdStore:
    """Open a store on the cluster at `url`; see `EtcdStore`."""
    return EtcdStore(url, options=options, deadline=deadline, prefix=prefix)
