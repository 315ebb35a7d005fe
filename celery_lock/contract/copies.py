"""A copy of a message that was completed is refused, however late it comes."""

from __future__ import annotations

from dataclasses import replace

from ..model import Claim, End, Feature, LockStore
from .fixture import StoreFixture

__all__ = ["Copies"]


class Copies(StoreFixture):
    """Publications whose completion was recorded."""

    def completed(
        self, store: LockStore, key: str, remember: float = 30.0, *, result_due: bool = False
    ) -> Claim:
        """Run and complete; return the claim of a copy of the same publication."""
        claim = self.a_claim(key)
        lease = self.granted(store, claim)
        store.release(
            lease, End(publication=claim.publication, remember=remember, result_due=result_due)
        )
        copy = self.a_claim(key, task=claim.task_id)
        return replace(copy, publication=claim.publication, copy_since="")

    def test_a_copy_of_what_was_completed_is_refused_though_the_key_is_free(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.COPIES)
        copy = self.completed(store, key)

        held = self.refused(store, copy)

        assert held.done
        assert not held.result_due
        assert store.peek(key) is None

    def test_a_copy_is_told_that_a_result_was_still_to_be_stored(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.COPIES)
        assert self.refused(store, self.completed(store, key, result_due=True)).result_due

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

    def test_a_completion_counts_though_the_lease_was_lost(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.COPIES)
        claim, lease = self.expired(store, key)
        assert store.release(lease, End(publication=claim.publication, remember=30.0)) is False

        copy = replace(self.a_claim(key), publication=claim.publication, copy_since="")

        assert self.refused(store, copy).done

    def test_a_completion_is_forgotten_after_its_time(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.COPIES)
        copy = self.completed(store, key, remember=self.short)

        self.outlast(self.short)

        self.granted(store, copy)
