"""A lease ends by its holder's release or by its time; nobody else can end it."""

from __future__ import annotations

from ..model import Feature, Lease, LockStore
from .fixture import StoreFixture

__all__ = ["Ending"]


class Ending(StoreFixture):
    """Releases and expiry."""

    def test_a_release_frees_the_key(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key))

        assert store.release(lease)

        self.granted(store, self.a_claim(key))

    def test_a_strangers_release_frees_nothing(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key))
        stranger = self.forged(lease, holder=self.a_claim(key).holder)

        assert not store.release(stranger)

        assert self.refused(store, self.a_claim(key)).holder == lease.holder

    def test_a_release_with_another_token_frees_nothing(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FENCING)
        lease = self.granted(store, self.a_claim(key))

        assert not store.release(self.forged(lease, token=lease.token + 1))
        assert not store.release(self.forged(lease, token=lease.token - 1))

        assert self.refused(store, self.a_claim(key)).holder == lease.holder

    def test_a_release_of_a_key_that_nobody_has_frees_nothing(
        self, store: LockStore, key: str
    ) -> None:
        token = 1 if Feature.FENCING in store.features else None

        assert not store.release(Lease(key, "nobody", token))

        assert store.peek(key) is None

    def test_releasing_twice_says_yes_twice(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key))

        assert store.release(lease)
        assert store.release(lease)

    def test_a_repeated_release_does_not_free_the_next_holder(
        self, store: LockStore, key: str
    ) -> None:
        first = self.granted(store, self.a_claim(key))
        store.release(first)
        second = self.granted(store, self.a_claim(key))

        assert store.release(first)

        assert self.refused(store, self.a_claim(key)).holder == second.holder

    def test_an_unrenewed_lease_ends(self, store: LockStore, key: str) -> None:
        self.expired(store, key)

        assert store.peek(key) is None
        self.granted(store, self.a_claim(key))

    def test_a_lease_does_not_end_before_its_time(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key, ttl=30))

        self.elapse(self.short)

        assert self.refused(store, self.a_claim(key)).holder == lease.holder

    def test_the_release_of_an_ended_lease_says_no(self, store: LockStore, key: str) -> None:
        _, lease = self.expired(store, key)

        assert not store.release(lease)
        assert not store.release(lease)

    def test_the_release_of_an_ended_lease_does_not_free_the_next_holder(
        self, store: LockStore, key: str
    ) -> None:
        _, lease = self.expired(store, key)
        second = self.granted(store, self.a_claim(key))

        assert not store.release(lease)

        assert self.refused(store, self.a_claim(key)).holder == second.holder
