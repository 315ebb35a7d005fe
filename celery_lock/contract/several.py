"""Several keys are given together or not at all, and a claim that was not given leaves no trace."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ..model import (
    Claim,
    Completion,
    End,
    Feature,
    Held,
    Holder,
    Lease,
    LockStore,
    Met,
    Outcome,
    Refused,
    Release,
)
from .fixture import StoreFixture

__all__ = ["Several"]


class Several(StoreFixture):
    """For stores with `Feature.SEVERAL`."""

    def claims(self, *keys: str, **options: float) -> list[Claim]:
        """Claims of one holder and publication for these keys."""
        first = self.a_claim(keys[0], **options)  # type: ignore[arg-type]  # floats
        return [replace(first, key=key) for key in keys]

    def all_granted(self, store: LockStore, claims: Sequence[Claim]) -> list[Lease]:
        """Claim, and expect a lease of each key."""
        answer = store.acquire_all(claims)
        assert isinstance(answer, list), f"refused: {answer}"
        assert [(one.key, one.holder) for one in answer] == [(c.key, c.holder) for c in claims]
        return answer

    def all_refused(self, store: LockStore, claims: Sequence[Claim]) -> Refused:
        """Claim, and expect to hear which of the keys is taken."""
        answer = store.acquire_all(claims)
        assert isinstance(answer, Refused), f"granted: {answer}"
        assert answer.held.key == claims[answer.index].key
        return answer

    def test_all_keys_are_given_together(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.SEVERAL)

        leases = self.all_granted(store, self.claims(f"{key}:a", f"{key}:b", f"{key}:c"))

        assert [lease.slot for lease in leases] == [0, 0, 0]
        assert self.refused(store, self.a_claim(f"{key}:b")).holder == leases[1].holder
        assert store.renew([(lease, 30) for lease in leases]) == [Outcome.RENEWED] * 3
        assert store.release_all([(lease, None) for lease in leases]) == [Release(True, False)] * 3
        assert [store.peek(f"{key}:{name}") for name in "abc"] == [None] * 3

    def test_none_is_given_where_one_is_taken(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.SEVERAL)
        other = self.granted(store, self.a_claim(f"{key}:b"))

        refused = self.all_refused(store, self.claims(f"{key}:a", f"{key}:b", f"{key}:c"))

        assert (refused.index, refused.held.holder) == (1, other.holder)
        assert refused.held.met is Met.OTHER
        assert [store.peek(f"{key}:{name}") for name in "ac"] == [None, None]

    def test_what_was_not_given_leaves_no_floor_and_no_higher_token(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.SEVERAL)
        self.granted(store, self.a_claim(f"{key}:b"))
        first = self.granted(store, self.a_claim(f"{key}:a"))
        store.release(first)
        options = {"at_least": 30.0} if Feature.FLOORS in store.features else {}

        self.all_refused(store, self.claims(f"{key}:a", f"{key}:b", **options))

        assert store.peek(f"{key}:a") is None
        assert store.release(first), "that the lease was given back is forgotten"
        self.granted(store, self.a_claim(f"{key}:a"))

    def test_no_keys_are_no_leases(self, store: LockStore) -> None:
        self.need(store, Feature.SEVERAL)

        assert store.acquire_all([]) == []
        assert store.release_all([]) == []

    def test_one_key_is_claimed_like_any(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.SEVERAL)

        (lease,) = self.all_granted(store, self.claims(key))

        assert self.all_refused(store, self.claims(key)).held.holder == lease.holder

    def test_a_key_is_not_claimed_twice_in_one_step(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.SEVERAL)

        with pytest.raises(ValueError, match="twice"):
            store.acquire_all(self.claims(key, key))

    def test_asking_again_is_the_same_leases(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.SEVERAL)
        claims = self.claims(f"{key}:a", f"{key}:b")
        first = self.all_granted(store, claims)

        again = self.all_granted(store, claims)

        assert [one.known_token for one in again] == [one.known_token for one in first]

    def test_an_undone_claim_is_refused_with_all_others(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.SEVERAL)
        claims = self.claims(f"{key}:a", f"{key}:b")

        for claim in claims:
            store.undo(claim)

        assert self.all_refused(store, claims).held.met is Met.UNDONE
        self.all_granted(store, self.claims(f"{key}:b", f"{key}:a"))

    def test_of_two_that_want_the_same_keys_in_another_order_one_gets_them(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.SEVERAL)
        answers: list[list[Lease] | Refused] = []
        start = threading.Barrier(8)

        def claim(number: int) -> None:
            names = [f"{key}:{name}" for name in ("ab", "ba")[number % 2]]
            start.wait()
            answers.append(store.acquire_all(self.claims(*names)))

        threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        (leases,) = [answer for answer in answers if isinstance(answer, list)]
        holders = {one.held.holder for one in answers if isinstance(one, Refused)}
        assert holders == {leases[0].holder}

    def test_a_copy_is_known_though_another_key_of_it_is_somebody_elses(
        self, store: LockStore, key: str
    ) -> None:
        """No policy is asked then: it would end the copy of a message that still runs."""
        self.need(store, Feature.SEVERAL)
        claims = self.claims(f"{key}:a", f"{key}:b")
        first, _ = self.all_granted(store, claims)
        store.release(first)  # as if it were lost
        self.granted(store, self.a_claim(f"{key}:a"))
        copies = [
            replace(claim, key=old.key, publication=old.publication)
            for claim, old in zip(self.claims(f"{key}:a", f"{key}:b"), claims, strict=True)
        ]

        refused = self.all_refused(store, copies)

        assert (refused.index, refused.held.met) == (1, Met.PUBLICATION)

    def test_a_copy_that_is_refused_leaves_its_mark_beside_the_first_key(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.SEVERAL)
        self.need(store, Feature.COPIES)
        claims = self.claims(f"{key}:a", f"{key}:b")
        first, second = self.all_granted(store, claims)
        publication = claims[0].publication
        store.release(first)
        copies = self.claims(f"{key}:a", f"{key}:b")
        copies = [replace(claim, publication=publication) for claim in copies]
        copies[0] = replace(copies[0], copy_since="")
        assert self.all_refused(store, copies).index == 1

        only_if_met = End(publication=publication, remember=30, if_met=True)
        again = replace(self.a_claim(f"{key}:a"), publication=publication)
        release = store.release(self.granted(store, again), only_if_met)

        assert release.recorded
        store.release(second)
        store.complete([Completion(f"{key}:a", publication, 30)])
        assert self.all_refused(store, copies).held.met is Met.DONE

    def test_an_unconfirmed_lease_comes_before_somebody_else(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.SEVERAL)
        self.need(store, Feature.HEIRS)
        self.granted(store, self.a_claim(f"{key}:a"))
        self.granted(store, replace(self.a_claim(f"{key}:b"), unconfirmed=True))

        refused = self.all_refused(store, self.claims(f"{key}:a", f"{key}:b"))

        assert (refused.index, refused.held.met) == (1, Met.UNCONFIRMED)

    def test_heirs_take_all_their_keys_over_or_none(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.SEVERAL)
        self.need(store, Feature.HEIRS)
        heir = str(Holder.for_retry("job", 1))
        first = [replace(self.a_claim(f"{key}:{name}", task="job")) for name in "ab"]
        leases = self.all_granted(store, [replace(c, holder=first[0].holder) for c in first])
        store.release_all([(lease, End(heir=heir, heir_ttl=30)) for lease in leases])
        store.free(f"{key}:b", heir)
        other = self.granted(store, self.a_claim(f"{key}:b"))
        the_next = replace(self.a_claim(f"{key}:a", task="job"), heir_of=heir)
        claims = [the_next, replace(the_next, key=f"{key}:b")]

        refused = self.all_refused(store, claims)

        assert (refused.index, refused.held.met) == (1, Met.OTHER)
        assert self.refused(store, self.a_claim(f"{key}:a")).holder == heir
        store.release(other)
        self.all_granted(store, claims)

    def test_permits_are_given_together_too(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.SEVERAL)
        self.need(store, Feature.PERMITS)
        self.granted(store, self.a_claim(f"{key}:a", limit=3))
        claims = [replace(one, limit=3) for one in self.claims(f"{key}:a", f"{key}:b")]

        leases = self.all_granted(store, claims)

        assert [lease.slot for lease in leases] == [1, 0]
        again = self.all_granted(store, claims)
        assert [lease.slot for lease in again] == [1, 0]

    def test_each_lease_is_released_by_itself(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.SEVERAL)
        leases = self.all_granted(store, self.claims(f"{key}:a", f"{key}:b"))
        forged = self.forged(leases[1], holder="stranger#node#1#ff")

        answers = store.release_all([(leases[0], None), (forged, None)])

        assert [bool(answer) for answer in answers if isinstance(answer, Release)] == [True, False]
        assert store.peek(f"{key}:b") is not None
        again = store.release_all([(leases[0], None), (leases[1], None)])
        assert again == [Release(True, False)] * 2

    def test_who_waits_for_one_key_is_woken_though_a_claim_for_two_was_refused(
        self, store: LockStore, key: str
    ) -> None:
        """The wake goes to the claim for two, which cannot use it: it passes it on."""
        self.need(store, Feature.SEVERAL)
        self.need(store, Feature.WATCH)
        a, b = f"{key}:a", f"{key}:b"
        held = self.granted(store, self.a_claim(a))
        self.granted(store, self.a_claim(b))
        both = [replace(one, watching=True) for one in self.claims(a, b)]
        assert self.all_refused(store, both).index == 0
        one = self.a_claim(a, watching=True)
        assert isinstance(store.acquire(one), Held)
        woken = threading.Event()

        def wait_for_a() -> None:
            store.watch(a, 10.0)
            woken.set()

        store.release(held)
        store.watch(a, 10.0)  # the claim for two is woken
        assert self.all_refused(store, both).index == 1
        thread = threading.Thread(target=wait_for_a, daemon=True)
        thread.start()

        assert woken.wait(self.soon)
        self.granted(store, one)
        thread.join(self.soon)
