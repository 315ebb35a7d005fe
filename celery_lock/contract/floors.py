"""`at_least` keeps other tasks out from the acquire on, however the holder ends."""

from __future__ import annotations

from ..model import End, Feature, LockStore
from .fixture import StoreFixture

__all__ = ["Floors"]


class Floors(StoreFixture):
    """The floor under the time that a key stays taken."""

    def test_a_floor_keeps_other_tasks_out_after_the_release(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.FLOORS)
        claim = self.a_claim(key, at_least=30)
        lease = self.granted(store, claim)

        assert store.release(lease)

        held = self.refused(store, self.a_claim(key))
        assert held.holder == claim.holder
        assert not held.live
        assert 20 < held.expires_in <= 30

    def test_a_floor_is_seen_by_a_look_at_the_key(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        claim = self.a_claim(key, at_least=30)
        store.release(self.granted(store, claim))

        held = store.peek(key)

        assert held is not None
        assert (held.holder, held.live) == (claim.holder, False)
        assert 20 < held.expires_in <= 30

    def test_the_task_that_set_a_floor_passes_it(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        first = self.granted(store, self.a_claim(key, task="job", at_least=30))
        store.release(first)

        again = self.granted(store, self.a_claim(key, task="job"))

        assert again.holder != first.holder

    def test_passing_a_floor_does_not_remove_it(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        store.release(self.granted(store, self.a_claim(key, task="job", at_least=30)))
        again = self.granted(store, self.a_claim(key, task="job"))

        store.release(again)

        assert not self.refused(store, self.a_claim(key)).live
        self.granted(store, self.a_claim(key, task="job"))

    def test_a_floor_does_not_let_its_task_in_while_it_runs(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.FLOORS)
        first = self.granted(store, self.a_claim(key, task="job", at_least=30))

        held = self.refused(store, self.a_claim(key, task="job"))

        assert held.holder == first.holder
        assert held.live

    def test_a_floor_ends(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        store.release(self.granted(store, self.a_claim(key, at_least=self.short)))

        self.outlast(self.short)

        assert store.peek(key) is None
        self.granted(store, self.a_claim(key))

    def test_a_lease_longer_than_its_floor_is_not_cut(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        lease = self.granted(store, self.a_claim(key, ttl=30, at_least=self.short))

        self.outlast(self.short)

        held = self.refused(store, self.a_claim(key))
        assert held.live
        assert store.release(lease)
        assert store.peek(key) is None

    def test_a_crashed_holder_leaves_its_floor(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        claim, _ = self.expired(store, key, at_least=30)

        held = self.refused(store, self.a_claim(key))

        assert held.holder == claim.holder
        assert not held.live
        assert held.expires_in > 20

    def test_an_undone_claim_leaves_no_floor(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        claim = self.a_claim(key, at_least=30)
        self.granted(store, claim)

        store.undo(claim)

        self.granted(store, self.a_claim(key))

    def test_an_undone_claim_leaves_the_floor_that_stood_before_it(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.FLOORS)
        store.release(self.granted(store, self.a_claim(key, task="job", at_least=30)))
        again = self.a_claim(key, task="job", at_least=90)
        self.granted(store, again)

        store.undo(again)

        held = self.refused(store, self.a_claim(key))
        assert not held.live
        assert 20 < held.expires_in <= 30
        self.granted(store, self.a_claim(key, task="job"))

    def test_a_key_that_is_free_again_has_no_old_floor(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        store.release(self.granted(store, self.a_claim(key, at_least=self.short)))
        self.outlast(self.short)

        store.release(self.granted(store, self.a_claim(key)))

        self.granted(store, self.a_claim(key))

    # -- a floor that only a good end has ----------------------------------------------------

    def test_a_release_sets_a_floor_that_counts_from_the_acquire(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.FLOORS)
        claim = self.a_claim(key)
        lease = self.granted(store, claim)
        self.outlast(self.short)

        assert store.release(lease, End(floor=60))

        held = self.refused(store, self.a_claim(key))
        assert (held.holder, held.live) == (claim.holder, False)
        assert 20 < held.expires_in <= 60 - self.short

    def test_the_task_passes_such_a_floor_and_nobody_else(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        store.release(self.granted(store, self.a_claim(key, task="job")), End(floor=30))

        again = self.granted(store, self.a_claim(key, task="job"))
        store.release(again)

        assert 20 < self.refused(store, self.a_claim(key)).expires_in <= 30

    def test_such_a_floor_that_is_over_already_keeps_nobody_out(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.FLOORS)
        lease = self.granted(store, self.a_claim(key))
        self.outlast(self.short)

        store.release(lease, End(floor=self.short))

        assert store.peek(key) is None

    def test_a_release_that_is_repeated_sets_no_floor_that_was_ended(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.FLOORS)
        lease = self.granted(store, self.a_claim(key))
        store.release(lease, End(floor=30))
        store.free(key, lease.holder, floor=True)

        assert store.release(lease, End(floor=30))

        assert store.peek(key) is None

    def test_who_was_freed_leaves_no_floor(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        lease = self.granted(store, self.a_claim(key))
        store.free(key, lease.holder)

        assert not store.release(lease, End(floor=30))

        assert store.peek(key) is None

    def test_a_good_end_whose_lease_had_lapsed_sets_its_floor_where_nobody_came(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.FLOORS)
        claim, lease = self.expired(store, key)

        assert not store.release(lease, End(floor=30))

        held = self.refused(store, self.a_claim(key))
        assert (held.holder, held.live) == (claim.holder, False)

    def test_it_sets_none_where_somebody_has_come(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        _, lease = self.expired(store, key)
        other = self.granted(store, self.a_claim(key))

        store.release(lease, End(floor=30))

        store.release(other)
        assert store.peek(key) is None

    def test_the_longer_of_two_floors_counts(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        lease = self.granted(store, self.a_claim(key, at_least=60))

        store.release(lease, End(floor=30))

        assert self.refused(store, self.a_claim(key)).expires_in > 50
