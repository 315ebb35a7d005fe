"""A store whose keys have several permits, of which all but the last are taken by others."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from celery_lock.backoff import LONGEST
from celery_lock.model import (
    Claim,
    End,
    Feature,
    Held,
    Lease,
    LockStore,
    Outcome,
    Refused,
    Release,
)

__all__ = ["DrainedStore"]

_OTHERS = "the-others"


class DrainedStore:
    """Whoever asks sees a lock with one permit: the last one of so many.

    `limit`: how many permits each key has.
    """

    def __init__(self, store: LockStore, limit: int, lacks: Iterable[Feature] = ()) -> None:
        self._store = store
        self._limit = limit
        self._lacks = {Feature.PERMITS, *lacks}
        self._drained: set[str] = set()
        self._guard = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def features(self) -> frozenset[Feature]:
        """Those of the store, but for permits: there are none left to ask for."""
        return self._store.features - self._lacks

    def acquire(self, claim: Claim) -> Lease | Held:
        got = self._store.acquire(self._of_several(claim))
        return self._without_others(got) if isinstance(got, Held) else self._as_the_only(got)

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        got = self._store.acquire_all([self._of_several(claim) for claim in claims])
        if isinstance(got, list):
            return [self._as_the_only(lease) for lease in got]
        return replace(got, held=self._without_others(got.held))

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        renewals = [(self._as_the_last(lease), ttl) for lease, ttl in renewals]
        return self._store.renew(renewals, within=within)

    def release(self, lease: Lease, end: End | None = None) -> Release:
        return self._store.release(self._as_the_last(lease), end)

    def release_all(self, releases: Sequence[tuple[Lease, End | None]]) -> list[Any]:
        return self._store.release_all([(self._as_the_last(each), end) for each, end in releases])

    def undo(self, claim: Claim) -> None:
        self._store.undo(self._of_several(claim))

    def free(self, key: str, holder: str, *, floor: bool = False) -> Held | None:
        had = self._store.free(key, holder, floor=floor)
        return None if had is None else self._without_others(had)

    def peek(self, key: str) -> Held | None:
        held = self._store.peek(key)
        if held is None or all(_is_another(one.holder) for one in held.holders):
            return None
        return self._without_others(held)

    def _of_several(self, claim: Claim) -> Claim:
        with self._guard:
            if claim.key not in self._drained:
                self._drained.add(claim.key)
                for number in range(1, self._limit):
                    other = f"{_OTHERS}-{number}#elsewhere#1#{number}"
                    taken = Claim(claim.key, other, LONGEST, limit=self._limit)
                    assert isinstance(self._store.acquire(taken), Lease)
        return replace(claim, limit=self._limit)

    def _as_the_only(self, lease: Lease) -> Lease:
        assert lease.slot == self._limit - 1
        lease.slot = 0
        return lease

    def _as_the_last(self, lease: Lease) -> Lease:
        slot, token = lease.slot + self._limit - 1, lease.known_token
        return Lease(lease.key, lease.holder, token, slot=slot, proof=lease.proof)

    def _without_others(self, held: Held) -> Held:
        mine = tuple(one for one in held.holders if not _is_another(one.holder))
        return replace(held, holders=mine)


def _is_another(holder: str) -> bool:
    return holder.startswith(_OTHERS)
