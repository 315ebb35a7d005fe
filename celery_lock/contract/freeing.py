"""A holder that is dead cannot give its key back; who saw it die does so, and nobody else."""

from __future__ import annotations

from ..model import Feature, Holder, LockStore, Outcome
from .fixture import StoreFixture

__all__ = ["Freeing"]


class Freeing(StoreFixture):
    """Leases that are ended for their holder."""

    def test_a_dead_holder_is_named_without_its_nonce(self, store: LockStore, key: str) -> None:
        claim = self.a_claim(key)
        lease = self.granted(store, claim)
        dead = Holder.parse(claim.holder)

        had = store.free(key, f"{dead.task_id}#{dead.node}#{dead.pid}#")

        assert had is not None
        assert (had.holder, had.live) == (claim.holder, True)
        if Feature.FENCING in store.features:
            assert had.token == lease.token
        assert store.peek(key) is None
        assert store.renew([(lease, 30)]) == [Outcome.LOST]
        assert not store.release(lease)
        self.granted(store, self.a_claim(key))

    def test_the_whole_holder_will_do(self, store: LockStore, key: str) -> None:
        claim = self.a_claim(key)
        self.granted(store, claim)

        assert store.free(key, claim.holder) is not None

        assert store.peek(key) is None

    def test_nobody_else_is_freed(self, store: LockStore, key: str) -> None:
        claim = self.a_claim(key)
        lease = self.granted(store, claim)
        holder = Holder.parse(claim.holder)
        others = (
            f"{holder.task_id}#{holder.node}#{holder.pid + 1}#",
            f"{holder.task_id}#another#{holder.pid}#",
            f"x{holder.task_id}#{holder.node}#{holder.pid}#",
            claim.holder[:-1],
            f"{claim.holder}0",
            "#",
            "",
        )

        assert [store.free(key, other) for other in others] == [None] * len(others)

        assert store.renew([(lease, 30)]) == [Outcome.RENEWED]

    def test_a_free_key_has_nobody_to_free(self, store: LockStore, key: str) -> None:
        claim, _ = self.expired(store, key)

        assert store.free(key, claim.holder) is None
        assert store.free(f"{key}:other", claim.holder) is None

    def test_freeing_twice_does_not_free_the_next_holder(self, store: LockStore, key: str) -> None:
        claim = self.a_claim(key)
        self.granted(store, claim)
        store.free(key, claim.holder)
        second = self.granted(store, self.a_claim(key))

        assert store.free(key, claim.holder) is None

        assert self.refused(store, self.a_claim(key)).holder == second.holder

    def test_the_floor_goes_on_after_a_death(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        claim = self.a_claim(key, at_least=30)
        self.granted(store, claim)

        assert store.free(key, claim.holder) is not None

        held = self.refused(store, self.a_claim(key))
        assert (held.holder, held.live) == (claim.holder, False)

    def test_the_floor_ends_as_well_where_it_is_asked_for(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        claim = self.a_claim(key, at_least=30)
        self.granted(store, claim)

        assert store.free(key, claim.holder, floor=True) is not None

        self.granted(store, self.a_claim(key))

    def test_a_floor_alone_ends_where_it_is_asked_for(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        claim = self.a_claim(key, at_least=30)
        lease = self.granted(store, claim)
        store.release(lease)
        assert store.free(key, claim.holder) is None

        had = store.free(key, claim.holder, floor=True)

        assert had is not None
        assert had.live is False
        assert store.release(lease), "that the lease was given back is forgotten"
        self.granted(store, self.a_claim(key))
