"""The fencing tokens of a key only grow, whatever becomes of its holders."""

from __future__ import annotations

from ..model import Feature, LockStore
from .fixture import StoreFixture

__all__ = ["Tokens"]


class Tokens(StoreFixture):
    """For stores with `Feature.FENCING`."""

    def test_tokens_grow_from_holder_to_holder(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FENCING)

        tokens = []
        for _ in range(20):
            lease = self.granted(store, self.a_claim(key))
            tokens.append(lease.token)
            store.release(lease)

        assert tokens == sorted(set(tokens))

    def test_tokens_grow_over_an_expiry(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FENCING)
        _, ended = self.expired(store, key)

        lease = self.granted(store, self.a_claim(key))

        assert lease.token > ended.token

    def test_tokens_grow_over_an_undone_claim(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FENCING)
        claim = self.a_claim(key)
        undone = self.granted(store, claim)
        store.undo(claim)

        lease = self.granted(store, self.a_claim(key))

        assert lease.token > undone.token

    def test_tokens_grow_over_a_renewal(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FENCING)
        first = self.granted(store, self.a_claim(key))
        store.renew([(first, 30)])
        store.release(first)

        assert self.granted(store, self.a_claim(key)).token > first.token
