"""A copy of a message that was completed is refused, however late it comes."""

from __future__ import annotations

from dataclasses import replace

from ..model import ENDED_FOR, Claim, Completion, End, Feature, LockStore, Met, Release
from .fixture import StoreFixture

__all__ = ["Copies"]


class Copies(StoreFixture):
    """Publications whose runs have ended, completed or not."""

    def copy_of(self, claim: Claim) -> Claim:
        """Return the claim of a copy of the same message."""
        copy = self.a_claim(claim.key, task=claim.task_id)
        return replace(copy, publication=claim.publication, copy_since="")

    def ended(self, store: LockStore, key: str, remember: float = 30.0) -> Claim:
        """Run and end; return the claim of a copy."""
        claim = self.a_claim(key)
        lease = self.granted(store, claim)
        answer = store.release(lease, End(publication=claim.publication, remember=remember))
        assert answer == Release(in_time=True, recorded=True)
        return self.copy_of(claim)

    def completed(self, store: LockStore, key: str, remember: float = 30.0) -> Claim:
        """Run, end, and tell it; return the claim of a copy."""
        copy = self.ended(store, key, remember)
        store.complete([Completion(key, copy.publication, remember)])
        return copy

    def test_a_copy_of_what_was_completed_is_refused_though_the_key_is_free(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.COPIES)
        copy = self.completed(store, key)

        held = self.refused(store, copy)

        assert held.done
        assert store.peek(key) is None

    def test_a_copy_waits_where_a_run_has_ended_and_that_was_not_told(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.COPIES)
        copy = self.ended(store, key)

        held = self.refused(store, copy)

        assert (held.met, held.done) == (Met.ENDED, False)
        assert 0 < held.expires_in <= ENDED_FOR
        assert store.peek(key) is None

    def test_what_was_told_stays_so_though_a_release_comes_after_it(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.COPIES)
        claim = self.a_claim(key)
        lease, end = self.granted(store, claim), End(publication=claim.publication, remember=30.0)
        store.release(lease, end)
        store.complete([Completion(key, claim.publication, 30.0)])

        store.release(lease, end)

        assert self.refused(store, self.copy_of(claim)).done

    def test_a_completion_needs_no_lease(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.COPIES)
        claims = [self.a_claim(key) for _ in range(100)]

        store.complete([Completion(key, claim.publication, 30.0) for claim in claims])
        store.complete([Completion(key, claim.publication, 30.0) for claim in claims[:1] * 2])
        store.complete([])

        assert all(self.refused(store, self.copy_of(claim)).done for claim in claims)
        self.granted(store, self.copy_of(self.a_claim(key)))

    def test_an_end_is_recorded_only_if_a_copy_was_met(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.COPIES)
        plain, met = self.a_claim(key), self.a_claim(f"{key}:met")
        leases = [self.granted(store, plain), self.granted(store, met)]
        assert self.refused(store, self.copy_of(met)).met is Met.PUBLICATION

        answers = [
            store.release(lease, End(publication=claim.publication, remember=30.0, if_met=True))
            for lease, claim in zip(leases, (plain, met), strict=True)
        ]

        assert answers == [Release(True, False), Release(True, True)]
        assert self.refused(store, self.copy_of(met)).met is Met.ENDED
        self.granted(store, self.copy_of(plain))

    def test_a_repeated_release_records_nothing_more(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.COPIES)
        claim = self.a_claim(key)
        end = End(publication=claim.publication, remember=30.0, if_met=True)
        lease = self.granted(store, claim)

        assert store.release(lease, end) == store.release(lease, end) == Release(True, False)

        self.granted(store, self.copy_of(claim))

    def test_the_mark_of_a_copy_is_no_completion(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.COPIES)
        claim = self.a_claim(key)
        lease = self.granted(store, claim)
        self.refused(store, self.copy_of(claim))
        store.release(lease)

        self.granted(store, self.copy_of(claim))

    def test_only_a_claim_that_may_be_a_copy_leaves_a_mark(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.COPIES)
        claim = self.a_claim(key)
        lease = self.granted(store, claim)
        self.refused(store, replace(self.copy_of(claim), copy_since=None))

        end = End(publication=claim.publication, remember=30.0, if_met=True)

        assert not store.release(lease, end).recorded

    def test_a_record_outlives_its_time_where_a_copy_was_met(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.COPIES)
        claim = self.a_claim(key)
        lease = self.granted(store, claim)
        self.refused(store, self.copy_of(claim))
        store.release(lease, End(publication=claim.publication, remember=self.short))
        store.complete([Completion(key, claim.publication, self.short)])

        self.outlast(self.short)

        assert self.refused(store, self.copy_of(claim)).done

    def test_a_copy_of_what_was_completed_is_refused_though_another_has_the_key(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.COPIES)
        copy = self.completed(store, key)
        self.granted(store, self.a_claim(key))

        assert self.refused(store, copy).done

    def test_a_message_that_is_no_copy_does_not_ask(self, store: LockStore, key: str) -> None:
        """A task id that is used twice makes the same publication twice on some brokers."""
        self.need(store, Feature.COPIES)
        copy = self.completed(store, key)

        self.granted(store, replace(copy, copy_since=None))

    def test_another_publication_is_not_done(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.COPIES)
        copy = self.completed(store, key)

        self.granted(store, replace(copy, publication="another"))

    def test_a_publication_of_another_key_is_not_done(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.COPIES)
        copy = self.completed(store, key)

        self.granted(store, replace(copy, key=f"{key}:other"))

    def test_what_was_completed_before_the_message_was_first_seen_is_another(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.COPIES)
        copy = self.completed(store, key)
        self.elapse(self.short)
        self.granted(store, self.a_claim(key))
        seen = self.refused(store, replace(copy, copy_since=None)).mark

        assert not self.refused(store, replace(copy, copy_since=seen)).done
        assert self.refused(store, replace(copy, copy_since="")).done

    def test_a_plain_release_completes_nothing(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.COPIES)
        claim = self.a_claim(key)
        store.release(self.granted(store, claim))

        self.granted(
            store, replace(self.a_claim(key), publication=claim.publication, copy_since="")
        )

    def test_an_end_is_recorded_though_the_lease_was_lost(self, store: LockStore, key: str) -> None:
        """Also if no copy was met: one may have met whoever has the key by now."""
        self.need(store, Feature.COPIES)
        claim, lease = self.expired(store, key)
        self.granted(store, self.a_claim(key))
        assert self.refused(store, self.copy_of(claim)).met is Met.OTHER

        end = End(publication=claim.publication, remember=30.0, if_met=True)

        assert store.release(lease, end) == Release(in_time=False, recorded=True)
        assert self.refused(store, self.copy_of(claim)).met is Met.ENDED

    def test_a_completion_is_forgotten_after_its_time(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.COPIES)
        copy = self.completed(store, key, remember=self.short)

        self.outlast(self.short)

        self.granted(store, copy)

    def test_a_completed_copy_is_refused_though_permits_are_free(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.PERMITS)
        self.need(store, Feature.COPIES)
        claim = self.a_claim(key, limit=3)
        lease = self.granted(store, claim)
        store.release(lease, End(publication=claim.publication, remember=30.0))
        store.complete([Completion(key, claim.publication, 30.0)])

        assert self.refused(store, replace(self.copy_of(claim), limit=3)).met is Met.DONE
