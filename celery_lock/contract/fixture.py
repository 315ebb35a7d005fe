"""What the tests of a store stand on: how to open one, how to let time pass, how to claim."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from uuid import uuid4

import pytest

from ..model import Claim, Feature, Held, Lease, LockStore

__all__ = ["StoreFixture"]

_numbers = count(100)  # task-1 and others below are named by tests


class StoreFixture:
    """A subclass overrides `open_store`, and `elapse` where its clock can be moved."""

    short = 0.05
    """Seconds of a lease that a test lets expire; twice the store's own `coarse` at least."""
    coarse = 0.0
    """Seconds by which a lease may outlive its time, as the store says."""
    soon = 5.0
    """Seconds, on this machine's clock, in which a waiter has to hear of something."""

    def open_store(self, prefix: str) -> LockStore:
        """Return a new store on the server under test, with this prefix for its keys."""
        raise NotImplementedError

    def elapse(self, seconds: float) -> None:
        """Let so much time pass by the store's clock."""
        time.sleep(seconds)

    def outlast(self, seconds: float) -> None:
        """Let so much time pass that what was to live for `seconds` has ended for certain."""
        self.elapse(seconds * 1.5 + self.coarse)

    @pytest.fixture
    def store(self) -> Iterator[LockStore]:
        """A store for one test."""
        store = self.a_store()
        yield store
        store.close()

    @pytest.fixture
    def key(self) -> str:
        """A key that nobody else has ever used."""
        return self.a_key()

    # -- the words of the tests --------------------------------------------------------------

    def a_store(self) -> LockStore:
        """A store that is as coarse as it says."""
        store = self.open_store("contract:")
        self.coarse = store.coarse
        self.short = max(self.short, 2 * self.coarse)
        self.soon = max(self.soon, 3 * self.short)
        return store

    def a_key(self) -> str:
        """A key that nobody else has ever used."""
        return f"order:{uuid4().hex}"

    def a_claim(
        self,
        key: str,
        *,
        task: str | None = None,
        ttl: float = 30.0,
        at_least: float = 0.0,
        watching: bool = False,
        limit: int = 1,
    ) -> Claim:
        """A claim by a new delivery; of a new task, unless one is named."""
        number = next(_numbers)
        return Claim(
            key,
            f"{task or f'task-{number}'}#node@host#4711#{number:08x}",
            ttl,
            at_least=at_least,
            publication=f"publication-{number}",
            watching=watching,
            limit=limit,
        )

    def granted(self, store: LockStore, claim: Claim) -> Lease:
        """Claim, and expect a lease."""
        answer = store.acquire(claim)
        assert isinstance(answer, Lease), f"refused: {answer}"
        return answer

    def refused(self, store: LockStore, claim: Claim) -> Held:
        """Claim, and expect an answer that names who has the key."""
        answer = store.acquire(claim)
        assert isinstance(answer, Held), f"granted: {answer}"
        return answer

    def expired(self, store: LockStore, key: str, **options: float) -> tuple[Claim, Lease]:
        """Return a claim and its lease, which has ended unrenewed."""
        claim = self.a_claim(key, ttl=self.short, **options)  # type: ignore[arg-type]  # floats
        lease = self.granted(store, claim)
        self.outlast(self.short)
        return claim, lease

    def forged(self, lease: Lease, *, holder: str | None = None, token: int | None = None) -> Lease:
        """Return what a stranger might make of a lease that it has seen: all but one thing of it.

        With another holder it lacks the store's own proof, which nobody else has seen.
        """
        return Lease(
            lease.key,
            holder or lease.holder,
            token or lease.known_token,
            slot=lease.slot,
            proof="" if holder else lease.proof,
        )

    def need(self, store: LockStore, feature: Feature) -> None:
        """Skip the test if the store does not promise this."""
        if feature not in store.features:
            pytest.skip(f"{store.url} does not promise {feature.value}")
