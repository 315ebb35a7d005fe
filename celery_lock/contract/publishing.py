"""A publisher takes the key before it sends a message, and confirms that it was sent."""

from __future__ import annotations

from dataclasses import replace

from ..model import Claim, End, Feature, Holder, Lease, LockStore, Met, Outcome
from .fixture import StoreFixture

__all__ = ["CONFIRMED", "QUEUED", "PublisherFixture", "Publishing"]

QUEUED = str(Holder.for_retry("task-1", 0))
CONFIRMED = End(heir=QUEUED, heir_ttl=90.0)


class PublisherFixture(StoreFixture):
    """The words of a publisher and of its message."""

    def a_publish(self, key: str, **options: float) -> Claim:
        """The claim of who publishes task-1."""
        claim = self.a_claim(key, task="task-1", **options)  # type: ignore[arg-type]  # floats
        return replace(claim, unconfirmed=True)

    def a_delivery(self, key: str, **options: float) -> Claim:
        """The claim of the message that is published so."""
        claim = self.a_claim(key, task="task-1", **options)  # type: ignore[arg-type]  # floats
        return replace(claim, heir_of=QUEUED)

    def published(self, store: LockStore, key: str) -> Lease:
        """Return the publisher's lease, which is not confirmed yet."""
        self.need(store, Feature.HEIRS)
        return self.granted(store, self.a_publish(key))


class Publishing(PublisherFixture):
    """Leases that are unconfirmed, queued and freed: for `Feature.HEIRS`."""

    def test_who_meets_an_unconfirmed_lease_is_told_so(self, store: LockStore, key: str) -> None:
        lease = self.published(store, key)

        held = self.refused(store, self.a_claim(key))

        assert (held.met, held.holder, held.live) == (Met.UNCONFIRMED, lease.holder, True)
        assert [one.unconfirmed for one in held.holders] == [True]

    def test_who_meets_a_queued_lease_meets_somebody_else(self, store: LockStore, key: str) -> None:
        lease = self.published(store, key)

        assert store.release(lease, CONFIRMED)

        held = self.refused(store, self.a_claim(key))
        assert (held.met, held.holder) == (Met.OTHER, QUEUED)
        assert [one.unconfirmed for one in held.holders] == [False]
        assert 60 < held.expires_in <= 90

    def test_asking_again_is_the_same_unconfirmed_lease(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.HEIRS)
        claim = self.a_publish(key)
        first = self.granted(store, claim)

        again = self.granted(store, claim)

        assert again.known_token == first.known_token
        assert self.refused(store, self.a_claim(key)).met is Met.UNCONFIRMED

    def test_a_late_confirmation_takes_nothing_from_the_message(
        self, store: LockStore, key: str
    ) -> None:
        published = self.published(store, key)
        lease = self.granted(store, self.a_delivery(key))

        store.release(published, CONFIRMED)

        assert store.renew([(lease, 30)]) == [Outcome.RENEWED]
        assert store.release(lease)
        store.release(published, CONFIRMED)
        assert store.peek(key) is None

    def test_a_confirmation_that_is_repeated_says_yes_and_takes_nothing_back(
        self, store: LockStore, key: str
    ) -> None:
        published = self.published(store, key)
        store.release(published, CONFIRMED)
        lease = self.granted(store, self.a_delivery(key))

        assert store.release(published, CONFIRMED)

        assert self.refused(store, self.a_claim(key)).holder == lease.holder

    def test_a_confirmation_revives_no_lease_that_was_freed(
        self, store: LockStore, key: str
    ) -> None:
        published = self.published(store, key)
        store.free(key, QUEUED)

        store.release(published, CONFIRMED)

        assert store.peek(key) is None

    def test_a_confirmation_revives_no_lease_that_has_lapsed(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.HEIRS)
        published = self.granted(store, self.a_publish(key, ttl=self.short))
        self.outlast(self.short)

        assert not store.release(published, CONFIRMED)

        assert store.peek(key) is None

    def test_the_message_that_ends_without_a_body_frees_the_lease(
        self, store: LockStore, key: str
    ) -> None:
        store.release(self.published(store, key), CONFIRMED)

        had = store.free(key, QUEUED)

        assert had is not None
        assert had.holder == QUEUED
        assert store.peek(key) is None

    def test_it_frees_a_lease_that_is_not_confirmed_yet(self, store: LockStore, key: str) -> None:
        lease = self.published(store, key)

        had = store.free(key, QUEUED)

        assert had is not None
        assert had.holder == lease.holder
        assert store.peek(key) is None

    def test_a_queued_lease_shows_whose_it_is(self, store: LockStore, key: str) -> None:
        store.release(
            self.published(store, key),
            End(heir=QUEUED, heir_ttl=90.0, heir_publication="shop.report"),
        )

        held = self.refused(store, self.a_claim(key))

        assert (held.holder, held.publication) == (QUEUED, "shop.report")
        assert [one.publication for one in held.holders] == ["shop.report"]
        adopted = self.granted(store, self.a_delivery(key))
        assert self.refused(store, self.a_claim(key)).publication != "shop.report"
        store.release(adopted, CONFIRMED)
        assert self.refused(store, self.a_claim(key)).publication == ""

    def test_another_message_frees_nothing(self, store: LockStore, key: str) -> None:
        lease = self.published(store, key)
        other = str(Holder.for_retry("task-2", 0))

        assert store.free(key, other) is None
        assert store.free(key, "task-1") is None
        store.release(lease, CONFIRMED)
        assert store.free(key, str(Holder.for_retry("task-1", 1))) is None

        self.granted(store, self.a_delivery(key))

    def test_an_unconfirmed_lease_is_freed_by_the_name_that_is_shown(
        self, store: LockStore, key: str
    ) -> None:
        self.published(store, key)
        shown = store.peek(key)
        assert shown is not None

        assert store.free(key, shown.holder) is not None

        assert store.peek(key) is None

    def test_a_send_that_failed_leaves_nothing_taken(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.HEIRS)
        claim = self.a_publish(key)
        lease = self.granted(store, claim)

        store.undo(claim)

        assert store.peek(key) is None
        assert not store.release(lease, CONFIRMED)
        assert self.refused(store, claim).met is Met.UNDONE
        self.granted(store, self.a_claim(key))
