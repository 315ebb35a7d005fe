"""Claims of one key with several limits, as in a deploy: none gets more companions than it says."""

from __future__ import annotations

from dataclasses import replace

from ..model import Claim, End, Feature, Holder, Lease, LockStore
from .permits import Permits

__all__ = ["Limits"]


class Limits(Permits):
    """For stores with `Feature.PERMITS`."""

    def test_no_lease_gets_more_companions_than_it_was_claimed_with(
        self, store: LockStore, key: str
    ) -> None:
        """A deploy that raises the limit, or another lock of the same key."""
        self.need(store, Feature.PERMITS)
        alone = self.granted(store, self.a_claim(key, limit=1))

        self.refused(store, self.a_claim(key, limit=5))

        store.release(alone)
        self.several(store, key, 5)

    def test_a_lower_limit_waits_until_fewer_are_alive(self, store: LockStore, key: str) -> None:
        """A deploy that lowers the limit."""
        leases = self.several(store, key, 4)
        claim = self.a_claim(key, limit=2)

        for lease in leases[:3]:
            self.refused(store, claim)
            store.release(lease)

        assert self.granted(store, claim).slot == 0
        self.refused(store, self.a_claim(key, limit=4))

    def test_the_smallest_limit_of_all_that_live_counts(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.PERMITS)
        self.granted(store, self.a_claim(key, limit=5))
        small = self.granted(store, self.a_claim(key, limit=3))
        self.granted(store, self.a_claim(key, limit=5))

        self.refused(store, self.a_claim(key, limit=5))

        store.release(small)
        self.granted(store, self.a_claim(key, limit=5))

    def heir_of(self, store: LockStore, lease: Lease) -> str:
        """Leave a lease to the retry of its task."""
        self.need(store, Feature.HEIRS)
        heir = str(Holder.for_retry(Holder.parse(lease.holder).task_id, 1))
        assert store.release(lease, End(heir=heir, heir_ttl=60))
        return heir

    def retry(self, key: str, heir: str, limit: int) -> Claim:
        """The claim of that retry."""
        task = Holder.parse(heir).task_id
        return replace(self.a_claim(key, task=task, limit=limit), heir_of=heir)

    def test_a_retry_keeps_its_companions_through_a_deploy_to_fewer_permits(
        self, store: LockStore, key: str
    ) -> None:
        first, *others = self.several(store, key, 3)
        heir = self.heir_of(store, first)

        self.granted(store, self.retry(key, heir, limit=1))

        self.refused(store, self.a_claim(key, limit=1))
        assert store.release(others[0])
        self.granted(store, self.a_claim(key, limit=3))

    def test_a_retry_gets_no_more_companions_through_a_deploy_to_more_permits(
        self, store: LockStore, key: str
    ) -> None:
        heir = self.heir_of(store, *self.several(store, key, 1))

        retry = self.granted(store, self.retry(key, heir, limit=3))

        self.refused(store, self.a_claim(key, limit=3))
        assert store.release(retry)
        self.granted(store, self.a_claim(key, limit=3))
