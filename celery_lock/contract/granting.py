"""A key is given to one holder at a time, and everybody else learns to whom."""

from __future__ import annotations

import threading

import pytest

from ..model import Claim, Feature, Held, Lease, LockStore
from .fixture import StoreFixture

__all__ = ["Granting"]

ODD_KEYS = [
    "with space",
    "{braces}",
    "%7Bbraces%7D",
    "}{",
    "100%",
    "100%25",
    "line\nbreak",
    "nul\0",
    "k\u00e4se \u4e2d\u6587 \U0001f512",
    "a:b:w",
    "x" * 1024,
]


class Granting(StoreFixture):
    """Claims, refusals and the look at a key."""

    def test_a_free_key_is_granted(self, store: LockStore, key: str) -> None:
        claim = self.a_claim(key)

        lease = self.granted(store, claim)

        assert (lease.key, lease.holder, lease.slot) == (claim.key, claim.holder, 0)
        if Feature.FENCING in store.features:
            assert lease.token > 0
        else:
            assert lease.known_token is None

    def test_a_taken_key_is_refused_and_its_holder_named(self, store: LockStore, key: str) -> None:
        first = self.a_claim(key, ttl=30)
        self.granted(store, first)

        held = self.refused(store, self.a_claim(key))

        assert (held.key, held.holder) == (key, first.holder)
        assert held.publication == first.publication
        assert held.live
        assert held.now - 10 < held.since <= held.now
        assert 20 < held.expires_in <= 30

    def test_the_same_holder_asking_again_gets_the_same_lease(
        self, store: LockStore, key: str
    ) -> None:
        claim = self.a_claim(key)
        first = self.granted(store, claim)

        again = self.granted(store, claim)

        assert again.known_token == first.known_token
        assert again.proof == first.proof

    def test_asking_again_prolongs_the_lease(self, store: LockStore, key: str) -> None:
        claim = self.a_claim(key, ttl=30)
        self.granted(store, claim)

        self.granted(store, Claim(key, claim.holder, 90))

        held = store.peek(key)
        assert held is not None
        assert 60 < held.expires_in <= 90

    def test_asking_again_for_less_shortens_nothing(self, store: LockStore, key: str) -> None:
        claim = self.a_claim(key, ttl=90)
        self.granted(store, claim)

        self.granted(store, Claim(key, claim.holder, 30))

        held = store.peek(key)
        assert held is not None
        assert held.expires_in > 60

    def test_another_delivery_of_the_same_task_is_somebody_else(
        self, store: LockStore, key: str
    ) -> None:
        first = self.a_claim(key, task="job")
        self.granted(store, first)

        held = self.refused(store, self.a_claim(key, task="job"))

        assert held.holder == first.holder

    def test_a_look_at_a_key_changes_nothing(self, store: LockStore, key: str) -> None:
        claim = self.a_claim(key)
        lease = self.granted(store, claim)

        seen = store.peek(key)

        assert seen is not None
        assert (seen.key, seen.holder, seen.live) == (key, claim.holder, True)
        assert seen.publication == claim.publication
        assert store.release(lease)

    def test_a_free_key_has_no_holder(self, store: LockStore, key: str) -> None:
        assert store.peek(key) is None

        lease = self.granted(store, self.a_claim(key))
        store.release(lease)

        assert store.peek(key) is None

    def test_keys_do_not_get_in_each_others_way(self, store: LockStore, key: str) -> None:
        leases = [self.granted(store, self.a_claim(f"{key}:{n}")) for n in range(20)]

        assert store.release(leases[7])

        assert [n for n in range(20) if store.peek(f"{key}:{n}") is None] == [7]

    @pytest.mark.parametrize("odd", ODD_KEYS, ids=ascii)
    def test_an_odd_key_is_a_key_of_its_own(self, store: LockStore, key: str, odd: str) -> None:
        others = [key + other for other in ODD_KEYS if other != odd]

        lease = self.granted(store, self.a_claim(key + odd))

        assert lease.key == key + odd
        assert [other for other in others if store.peek(other)] == []
        held = store.peek(key + odd)
        assert held is not None
        assert held.key == key + odd
        assert store.release(lease)

    def test_an_odd_holder_is_named_as_it_is(self, store: LockStore, key: str) -> None:
        holder = "t\u00e4sk#1 %d {x}\n#n\u00f6de@h\u00f6st#1#0a"
        lease = self.granted(store, Claim(key, holder, 30))

        held = self.refused(store, self.a_claim(key))

        assert held.holder == holder
        assert store.release(lease)

    def test_two_prefixes_do_not_meet(self, store: LockStore, key: str) -> None:
        other = self.open_store("contract-too:")
        lease = self.granted(store, self.a_claim(key))

        self.granted(other, self.a_claim(key))

        assert store.release(lease)
        assert other.peek(key) is not None
        other.close()

    def test_of_eight_claims_at_once_one_is_granted(self, store: LockStore, key: str) -> None:
        answers: list[Lease | Held] = []
        start = threading.Barrier(8)

        def claim() -> None:
            start.wait()
            answers.append(store.acquire(self.a_claim(key)))

        threads = [threading.Thread(target=claim) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        leases = [answer for answer in answers if isinstance(answer, Lease)]
        assert len(answers) == 8
        assert len(leases) == 1
        assert {a.holder for a in answers} == {leases[0].holder}

    def test_a_closed_store_works_again(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key))

        store.close()

        assert store.release(lease)

    def test_the_url_shows_no_login(self, store: LockStore) -> None:
        assert "://" in store.url
        assert "@" not in store.url
        assert "@" not in repr(store)

    def test_a_good_store_has_warnings_at_most(self, store: LockStore) -> None:
        warnings = store.check()

        assert all(isinstance(warning, str) and warning for warning in warnings)

    def test_features_are_known_ones(self, store: LockStore) -> None:
        assert isinstance(store.features, frozenset)
        assert all(isinstance(feature, Feature) for feature in store.features)
