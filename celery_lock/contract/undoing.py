"""A claim whose answer is not known is taken back, whether it has arrived or will."""

from __future__ import annotations

from ..model import LockStore, Outcome
from .fixture import StoreFixture

__all__ = ["Undoing"]


class Undoing(StoreFixture):
    """Undone claims."""

    def test_an_undone_grant_frees_the_key(self, store: LockStore, key: str) -> None:
        claim = self.a_claim(key)
        self.granted(store, claim)

        store.undo(claim)

        assert store.peek(key) is None
        self.granted(store, self.a_claim(key))

    def test_an_undone_grant_is_no_lease_any_more(self, store: LockStore, key: str) -> None:
        claim = self.a_claim(key)
        lease = self.granted(store, claim)

        store.undo(claim)

        assert store.renew([(lease, 30)]) == [Outcome.LOST]
        assert not store.release(lease)

    def test_a_claim_that_arrives_after_its_undo_is_refused(
        self, store: LockStore, key: str
    ) -> None:
        claim = self.a_claim(key)

        store.undo(claim)

        self.refused(store, claim)
        assert store.peek(key) is None
        self.granted(store, self.a_claim(key))

    def test_an_undone_grant_that_arrives_again_is_refused(
        self, store: LockStore, key: str
    ) -> None:
        claim = self.a_claim(key)
        self.granted(store, claim)

        store.undo(claim)

        self.refused(store, claim)
        assert store.peek(key) is None

    def test_several_claims_that_gave_up_together_are_all_refused(
        self, store: LockStore, key: str
    ) -> None:
        claims = [self.a_claim(key) for _ in range(8)]

        for claim in claims:
            store.undo(claim)

        for claim in claims:
            self.refused(store, claim)
        self.granted(store, self.a_claim(key))

    def test_an_undo_takes_nothing_from_somebody_else(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key, ttl=30))
        late = self.a_claim(key)

        store.undo(late)

        held = self.refused(store, late)
        assert held.holder == lease.holder
        assert held.live
        assert store.release(lease)

    def test_undoing_twice_is_no_mistake(self, store: LockStore, key: str) -> None:
        claim = self.a_claim(key)
        self.granted(store, claim)
        store.undo(claim)
        second = self.granted(store, self.a_claim(key))

        store.undo(claim)

        assert self.refused(store, self.a_claim(key)).holder == second.holder
