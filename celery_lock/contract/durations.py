"""Times that make no sense are refused before anything is written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ..model import Change, Feature, LockStore, Outcome
from ..model.durations import LONGEST
from .fixture import StoreFixture

__all__ = ["Durations"]

NONSENSE = [-1.0, -1e-6, float("nan"), float("inf"), float("-inf"), LONGEST * 1.001, 1e300]


class Durations(StoreFixture):
    """Nothing, less than nothing, no number, and for ever."""

    @pytest.mark.parametrize("seconds", NONSENSE)
    def test_a_claim_for_a_senseless_time_is_refused(
        self, store: LockStore, key: str, seconds: float
    ) -> None:
        with pytest.raises(ValueError, match="ttl"):
            store.acquire(self.a_claim(key, ttl=seconds))
        with pytest.raises(ValueError, match="at_least"):
            store.acquire(self.a_claim(key, at_least=seconds))

        assert store.peek(key) is None

    @pytest.mark.parametrize("seconds", NONSENSE)
    def test_a_renewal_for_a_senseless_time_is_refused(
        self, store: LockStore, key: str, seconds: float
    ) -> None:
        lease = self.granted(store, self.a_claim(key, ttl=30))

        with pytest.raises(ValueError, match="ttl"):
            store.renew([(lease, seconds)])

        held = store.peek(key)
        assert held is not None
        assert 20 < held.expires_in <= 30 + self.coarse

    def test_a_claim_for_no_time_takes_nothing(self, store: LockStore, key: str) -> None:
        store.acquire(self.a_claim(key, ttl=0.0))
        self.outlast(0.001)

        assert store.peek(key) is None
        self.granted(store, self.a_claim(key))

    def test_a_renewal_for_no_time_ends_the_lease(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key))

        store.renew([(lease, 0.0)])
        self.outlast(0.001)

        assert store.renew([(lease, 30)]) == [Outcome.LOST]
        self.granted(store, self.a_claim(key))

    def test_the_longest_time_is_kept(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key, ttl=LONGEST))
        held = store.peek(key)
        assert held is not None
        assert held.expires_in == pytest.approx(LONGEST, rel=1e-3)

        assert store.renew([(lease, LONGEST)]) == [Outcome.RENEWED]
        assert store.release(lease)

    @pytest.mark.parametrize("seconds", NONSENSE)
    def test_a_record_for_a_senseless_time_is_refused(
        self, store: LockStore, seconds: float
    ) -> None:
        self.need(store, Feature.RECORDS)
        change = Change("durations", "entry", None, "first", "", 30.0)

        with pytest.raises(ValueError, match="ttl"):
            store.change(replace(change, ttl=seconds))

        assert store.records("durations", ["entry"])[0] == [None]
