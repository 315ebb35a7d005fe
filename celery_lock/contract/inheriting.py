"""A key is left to an heir: the next retry of a task, which has not come yet."""

from __future__ import annotations

from dataclasses import replace

from ..model import Claim, Completion, End, Feature, Holder, Lease, LockStore, Met, Outcome
from .fixture import StoreFixture

__all__ = ["Inheriting"]

HEIR = str(Holder.for_retry("task-1", 1))


class Inheriting(StoreFixture):
    """Keys that are kept from one holder to the next."""

    def left(self, store: LockStore, key: str, heir_ttl: float = 30.0) -> Lease:
        """Leave the key to the heir; return the lease of who left it."""
        lease = self.granted(store, self.a_claim(key, task="task-1"))
        assert store.release(lease, End(heir=HEIR, heir_ttl=heir_ttl))
        return lease

    def the_next(self, key: str) -> Claim:
        """The claim of the retry that the key was left to."""
        return replace(self.a_claim(key, task="task-1"), heir_of=HEIR)

    def test_a_key_that_is_left_to_an_heir_is_taken(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.HEIRS)
        self.left(store, key)

        held = self.refused(store, self.a_claim(key))

        assert (held.holder, held.live) == (HEIR, True)
        assert 0 < held.expires_in <= 30

    def test_the_next_retry_takes_it_over(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.HEIRS)
        first = self.left(store, key)

        second = self.granted(store, self.the_next(key))

        if Feature.FENCING in store.features:
            assert second.token > first.token
        assert self.refused(store, self.a_claim(key)).holder == second.holder
        assert store.release(second)
        assert store.peek(key) is None

    def test_a_second_copy_finds_it_taken_over(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.HEIRS)
        self.left(store, key)
        second = self.granted(store, self.the_next(key))

        assert self.refused(store, self.the_next(key)).holder == second.holder

    def test_a_copy_of_the_run_before_is_known_by_its_record_while_the_key_is_kept(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.HEIRS)
        self.need(store, Feature.COPIES)
        claim = self.a_claim(key, task="task-1")
        lease = self.granted(store, claim)
        end = End(publication=claim.publication, remember=30, heir=HEIR, heir_ttl=30)
        store.release(lease, end)
        copy = replace(self.a_claim(key, task="task-1"), publication=claim.publication)
        copy = replace(copy, copy_since="")
        assert self.refused(store, copy).met is Met.ENDED

        store.complete([Completion(key, claim.publication, 30)])

        assert self.refused(store, copy).met is Met.DONE
        second = self.the_next(key)
        self.granted(store, second)
        store.undo(second)
        assert self.refused(store, copy).met is Met.DONE
        again = replace(copy, publication=second.publication)
        assert self.refused(store, again).met is Met.TASK

    def test_another_retry_is_no_heir(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.HEIRS)
        self.left(store, key)
        other = replace(
            self.a_claim(key, task="task-1"), heir_of=str(Holder.for_retry("task-1", 2))
        )

        assert self.refused(store, other).holder == HEIR
        assert self.refused(store, self.a_claim(key, task="task-1")).holder == HEIR

    def test_an_heir_that_does_not_come_keeps_nobody_out_for_ever(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.HEIRS)
        self.left(store, key, heir_ttl=self.short)

        self.outlast(self.short)

        self.granted(store, self.a_claim(key))

    def test_an_heir_that_comes_too_late_claims_like_anybody(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.HEIRS)
        self.left(store, key, heir_ttl=self.short)
        self.outlast(self.short)
        other = self.granted(store, self.a_claim(key))

        assert self.refused(store, self.the_next(key)).holder == other.holder
        store.release(other)
        self.granted(store, self.the_next(key))

    def test_an_heir_can_be_freed(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.HEIRS)
        self.left(store, key)

        assert store.free(key, HEIR) is not None

        self.granted(store, self.a_claim(key))

    def test_a_release_that_is_repeated_says_yes_and_takes_nothing_back(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.HEIRS)
        end = End(heir=HEIR, heir_ttl=30)
        lease = self.granted(store, self.a_claim(key, task="task-1"))
        store.release(lease, end)
        second = self.granted(store, self.the_next(key))

        assert store.release(lease, end)

        assert self.refused(store, self.a_claim(key)).holder == second.holder

    def test_who_has_lost_the_key_leaves_it_to_nobody(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.HEIRS)
        _, lease = self.expired(store, key)
        other = self.granted(store, self.a_claim(key))

        assert not store.release(lease, End(heir=HEIR, heir_ttl=30))

        assert self.refused(store, self.the_next(key)).holder == other.holder

    def test_an_undone_claim_gives_it_back_to_the_heir(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.HEIRS)
        self.left(store, key)
        claim = self.the_next(key)
        lease = self.granted(store, claim)

        store.undo(claim)
        store.undo(claim)

        assert store.renew([(lease, 30)]) == [Outcome.LOST]
        assert self.refused(store, self.a_claim(key)).holder == HEIR
        self.granted(store, self.the_next(key))

    def test_an_undone_claim_of_a_later_holder_does_not(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.HEIRS)
        self.left(store, key)
        store.release(self.granted(store, self.the_next(key)))
        later = self.a_claim(key)
        self.granted(store, later)

        store.undo(later)

        assert store.peek(key) is None
