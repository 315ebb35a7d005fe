"""A claim with a limit: so many leases of one key at once, and no lease has more companions."""

from __future__ import annotations

import threading
from dataclasses import replace

from ..model import (
    Claim,
    End,
    Feature,
    Held,
    Holder,
    Lease,
    LockStore,
    Met,
    Outcome,
    Release,
)
from .fixture import StoreFixture

__all__ = ["Permits"]


class Permits(StoreFixture):
    """For stores with `Feature.PERMITS`."""

    def several(self, store: LockStore, key: str, count: int) -> list[Lease]:
        """Take so many permits of a key."""
        self.need(store, Feature.PERMITS)
        return [self.granted(store, self.a_claim(key, limit=count)) for _ in range(count)]

    def test_as_many_are_granted_as_the_limit_says(self, store: LockStore, key: str) -> None:
        leases = self.several(store, key, 3)

        held = self.refused(store, self.a_claim(key, limit=3))

        assert [lease.slot for lease in leases] == [0, 1, 2]
        assert held.met is Met.OTHER
        assert [one.holder for one in held.holders] == [lease.holder for lease in leases]
        assert [one.slot for one in held.holders] == [0, 1, 2]

    def test_a_look_at_a_key_lists_all_its_holders(self, store: LockStore, key: str) -> None:
        leases = self.several(store, key, 3)
        store.release(leases[1])

        seen = store.peek(key)

        assert seen is not None
        assert [one.holder for one in seen.holders] == [leases[0].holder, leases[2].holder]

    def test_the_lowest_free_slot_is_given(self, store: LockStore, key: str) -> None:
        leases = self.several(store, key, 4)
        store.release(leases[2])
        store.release(leases[1])

        again = [self.granted(store, self.a_claim(key, limit=4)) for _ in range(2)]

        assert [lease.slot for lease in again] == [1, 2]

    def test_each_permit_is_renewed_and_given_back_by_itself(
        self, store: LockStore, key: str
    ) -> None:
        leases = self.several(store, key, 3)

        assert store.release(leases[0])

        assert store.renew([(lease, 30) for lease in leases]) == [
            Outcome.LOST,
            Outcome.RENEWED,
            Outcome.RENEWED,
        ]
        assert store.release(leases[0])
        assert store.release(leases[1])
        assert store.release(leases[2])
        assert store.peek(key) is None

    def test_a_dead_holder_frees_its_own_permit_only(self, store: LockStore, key: str) -> None:
        leases = self.several(store, key, 3)

        had = store.free(key, leases[1].holder)

        assert had is not None
        assert had.holder == leases[1].holder
        assert store.renew([(lease, 30) for lease in leases]) == [
            Outcome.RENEWED,
            Outcome.LOST,
            Outcome.RENEWED,
        ]

    def test_a_permit_whose_lease_has_ended_is_free(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.PERMITS)
        first = self.granted(store, self.a_claim(key, limit=2, ttl=90))
        second = self.granted(store, self.a_claim(key, limit=2, ttl=self.short))
        self.outlast(self.short)

        third = self.granted(store, self.a_claim(key, limit=2))

        assert (first.slot, second.slot, third.slot) == (0, 1, 1)
        assert not store.release(second)
        assert store.renew([(first, 30), (third, 30)]) == [Outcome.RENEWED] * 2

    def test_a_permit_that_was_given_first_is_free_when_its_lease_has_ended(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.PERMITS)
        first = self.granted(store, self.a_claim(key, limit=2, ttl=90))
        second = self.granted(store, self.a_claim(key, limit=2, ttl=90))
        store.renew([(first, self.short)])
        self.outlast(self.short)

        third = self.granted(store, self.a_claim(key, limit=2))

        assert (second.slot, third.slot) == (1, 0)
        assert not store.release(first)
        assert store.renew([(second, 30), (third, 30)]) == [Outcome.RENEWED] * 2

    def test_a_copy_of_a_running_message_gets_no_free_permit(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.PERMITS)
        claim = self.a_claim(key, limit=3)
        self.granted(store, claim)
        copy = replace(self.a_claim(key, limit=3), publication=claim.publication)

        held = self.refused(store, copy)

        assert (held.met, held.holder) == (Met.PUBLICATION, claim.holder)

    def test_messages_without_a_publication_are_no_copies_of_each_other(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.PERMITS)
        nameless = [replace(self.a_claim(key, limit=2), publication="") for _ in range(2)]

        assert [self.granted(store, claim).slot for claim in nameless] == [0, 1]

    def test_the_release_of_a_high_slot_is_remembered(self, store: LockStore, key: str) -> None:
        leases = self.several(store, key, 3)
        for lease in leases:
            store.release(lease)
        self.granted(store, self.a_claim(key, limit=3))

        assert [store.release(lease) for lease in leases] == [Release(True, False)] * 3

    def test_a_retry_does_not_run_beside_the_run_that_sent_it(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.PERMITS)
        first = self.granted(store, self.a_claim(key, task="job", limit=3))

        held = self.refused(store, self.a_claim(key, task="job", limit=3))

        assert (held.met, held.holder) == (Met.TASK, first.holder)

    def test_a_floor_keeps_its_permit_and_its_slot(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.PERMITS)
        self.need(store, Feature.FLOORS)
        floored = self.granted(store, self.a_claim(key, task="job", limit=2, at_least=60))
        store.release(floored)

        other = self.granted(store, self.a_claim(key, limit=2))
        held = self.refused(store, self.a_claim(key, limit=2))
        again = self.granted(store, self.a_claim(key, task="job", limit=2))

        assert (floored.slot, other.slot, again.slot) == (0, 1, 0)
        assert [one.live for one in held.holders] == [False, True]

    def test_the_floor_of_a_lone_holder_counts_with_its_limit(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.PERMITS)
        self.need(store, Feature.FLOORS)
        store.release(self.granted(store, self.a_claim(key, limit=1, at_least=60)))

        self.refused(store, self.a_claim(key, limit=5))

    def test_an_heir_keeps_the_permit_that_was_left_to_it(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.HEIRS)
        leases = self.several(store, key, 2)
        task = Holder.parse(leases[1].holder).task_id
        heir = str(Holder.for_retry(task, 1))
        store.release(leases[1], End(heir=heir, heir_ttl=30))
        self.refused(store, self.a_claim(key, limit=2))

        retry = self.granted(store, replace(self.a_claim(key, task=task, limit=2), heir_of=heir))

        assert retry.slot == 1
        assert store.release(leases[0])
        assert store.release(retry)

    def test_an_undone_claim_leaves_its_permit_free(self, store: LockStore, key: str) -> None:
        self.several(store, key, 2)
        third = self.a_claim(key, limit=3)
        store.undo(third)
        fourth = self.a_claim(key, limit=3)
        self.need(store, Feature.PERMITS)

        assert self.refused(store, third).met is Met.UNDONE
        self.refused(store, fourth)

    def test_twenty_claims_that_gave_up_together_are_all_refused(
        self, store: LockStore, key: str
    ) -> None:
        claims = [self.a_claim(key) for _ in range(20)]

        for claim in claims:
            store.undo(claim)

        assert [self.refused(store, claim).met for claim in claims] == [Met.UNDONE] * 20

    def test_a_second_release_does_not_forget_the_first(self, store: LockStore, key: str) -> None:
        first = self.granted(store, self.a_claim(key))
        store.release(first)
        second = self.granted(store, self.a_claim(key))
        store.release(second)

        assert store.release(first)
        assert store.release(second)

    def test_permits_that_are_gone_again_leave_the_key_as_it_was(
        self, store: LockStore, key: str
    ) -> None:
        for lease in self.several(store, key, 5):
            store.release(lease)

        lease = self.granted(store, self.a_claim(key, limit=1))

        assert lease.slot == 0
        self.refused(store, self.a_claim(key, limit=5))

    def test_tokens_of_a_slot_grow(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.PERMITS)
        self.need(store, Feature.FENCING)
        tokens: dict[int, int] = {}
        for _ in range(5):
            leases = self.several(store, key, 3)
            for lease in leases:
                assert lease.token > tokens.get(lease.slot, 0)
                tokens[lease.slot] = lease.token
            for lease in leases:
                store.release(lease)

    def test_as_many_watchers_are_woken_as_permits_come_free(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.WATCH)
        leases = self.several(store, key, 3)
        served: list[Lease] = []

        def wait_for_it(claim: Claim) -> None:
            while isinstance(answer := store.acquire(claim), Held):
                store.watch(key, 10.0)
            served.append(answer)

        threads = [
            threading.Thread(
                target=wait_for_it, args=(self.a_claim(key, limit=3, watching=True),), daemon=True
            )
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()

        for lease in leases:
            store.release(lease)

        for thread in threads:
            thread.join(self.soon)
        assert sorted(lease.slot for lease in served) == [0, 1, 2]
