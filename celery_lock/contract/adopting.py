"""A message adopts the key that its publisher has taken for it, and gives it back."""

from __future__ import annotations

from dataclasses import replace

from ..model import End, Feature, Holder, LockStore, Met, Outcome
from .publishing import CONFIRMED, QUEUED, PublisherFixture

__all__ = ["Adopting"]


class Adopting(PublisherFixture):
    """Queued and unconfirmed leases that are adopted: for `Feature.HEIRS`."""

    def test_the_message_adopts_a_queued_lease(self, store: LockStore, key: str) -> None:
        store.release(self.published(store, key), CONFIRMED)

        lease = self.granted(store, self.a_delivery(key))

        held = self.refused(store, self.a_claim(key))
        assert (held.met, held.holder) == (Met.OTHER, lease.holder)
        assert store.release(lease)
        assert store.peek(key) is None

    def test_a_message_that_is_faster_than_the_confirmation_adopts_the_lease(
        self, store: LockStore, key: str
    ) -> None:
        self.published(store, key)

        lease = self.granted(store, self.a_delivery(key))

        held = self.refused(store, self.a_claim(key))
        assert (held.met, held.holder) == (Met.OTHER, lease.holder)
        assert [one.unconfirmed for one in held.holders] == [False]

    def test_a_retry_adopts_an_unconfirmed_lease_too(self, store: LockStore, key: str) -> None:
        self.published(store, key)

        retry = replace(self.a_delivery(key), heir_of=str(Holder.for_retry("task-1", 3)))

        self.granted(store, retry)

    def test_an_undone_adoption_leaves_what_the_lease_showed(
        self, store: LockStore, key: str
    ) -> None:
        store.release(
            self.published(store, key),
            End(heir=QUEUED, heir_ttl=90.0, heir_publication="a report of shop"),
        )
        claim = self.a_delivery(key)
        self.granted(store, claim)

        store.undo(claim)

        assert self.refused(store, self.a_claim(key)).publication == "a report of shop"

    def test_a_message_of_another_task_adopts_nothing(self, store: LockStore, key: str) -> None:
        lease = self.published(store, key)
        other = replace(
            self.a_claim(key, task="task-2"), heir_of=str(Holder.for_retry("task-2", 0))
        )

        held = self.refused(store, other)

        assert (held.met, held.holder) == (Met.UNCONFIRMED, lease.holder)

    def test_an_undone_publish_takes_nothing_from_a_message_that_was_sent_all_the_same(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.HEIRS)
        claim = self.a_publish(key)
        self.granted(store, claim)
        lease = self.granted(store, self.a_delivery(key))

        store.undo(claim)

        assert store.renew([(lease, 30)]) == [Outcome.RENEWED]

    def test_an_undone_adoption_leaves_the_lease_to_its_message(
        self, store: LockStore, key: str
    ) -> None:
        """Also one that was not confirmed: who adopts it has the message in hand."""
        published = self.published(store, key)
        claim = self.a_delivery(key)
        self.granted(store, claim)

        store.undo(claim)

        held = self.refused(store, self.a_claim(key))
        assert (held.met, held.holder) == (Met.OTHER, QUEUED)
        store.release(published, CONFIRMED)
        self.granted(store, self.a_delivery(key))

    def test_a_message_that_goes_back_to_the_queue_takes_its_lease_along(
        self, store: LockStore, key: str
    ) -> None:
        store.release(self.published(store, key), CONFIRMED)
        lease = self.granted(store, self.a_delivery(key))

        store.release(lease, CONFIRMED)

        assert self.refused(store, self.a_claim(key)).holder == QUEUED
        self.granted(store, self.a_delivery(key))

    def test_the_floor_counts_from_the_adoption(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.FLOORS)
        store.release(self.published(store, key), CONFIRMED)

        lease = self.granted(store, self.a_delivery(key, at_least=30))
        store.release(lease)

        held = self.refused(store, self.a_claim(key))
        assert (held.holder, held.live) == (lease.holder, False)
        assert held.expires_in > 20

    def test_a_copy_of_the_message_adopts_no_second_permit(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.PERMITS)
        self.need(store, Feature.HEIRS)
        published = self.granted(store, self.a_publish(key, limit=3))
        store.release(published, CONFIRMED)
        lease = self.granted(store, self.a_delivery(key, limit=3))

        held = self.refused(store, self.a_delivery(key, limit=3))

        assert (held.met, held.holder) == (Met.TASK, lease.holder)

    def test_unconfirmed_leases_take_permits_of_their_own(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.PERMITS)
        self.need(store, Feature.HEIRS)
        running = self.granted(store, self.a_claim(key, limit=2))
        published = self.granted(store, self.a_publish(key, limit=2))

        held = self.refused(store, self.a_claim(key, limit=2))

        assert held.met is Met.UNCONFIRMED
        store.release(published, CONFIRMED)
        held = self.refused(store, self.a_claim(key, limit=2))
        assert held.met is Met.OTHER
        assert [one.holder for one in held.holders] == [running.holder, QUEUED]
        assert self.granted(store, self.a_delivery(key, limit=2)).slot == published.slot
