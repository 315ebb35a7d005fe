"""A renewal prolongs what is still held, for many leases at once, and revives nothing."""

from __future__ import annotations

from ..model import Feature, LockStore, Outcome
from .fixture import StoreFixture

__all__ = ["Renewing"]


class Renewing(StoreFixture):
    """Renewals."""

    def test_a_renewed_lease_lives_on(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key, ttl=30))

        assert store.renew([(lease, 90)]) == [Outcome.RENEWED]

        held = store.peek(key)
        assert held is not None
        assert held.holder == lease.holder
        assert 60 < held.expires_in <= 90

    def test_a_renewal_may_be_for_less(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key, ttl=90))

        assert store.renew([(lease, 30)]) == [Outcome.RENEWED]

        held = store.peek(key)
        assert held is not None
        assert held.expires_in <= 30

    def test_an_ended_lease_is_not_revived(self, store: LockStore, key: str) -> None:
        _, lease = self.expired(store, key)

        assert store.renew([(lease, 30)]) == [Outcome.LOST]

        assert store.peek(key) is None

    def test_a_lease_that_somebody_else_has_now_is_lost(self, store: LockStore, key: str) -> None:
        _, lease = self.expired(store, key)
        second = self.granted(store, self.a_claim(key, ttl=30))

        assert store.renew([(lease, 90)]) == [Outcome.LOST]

        held = store.peek(key)
        assert held is not None
        assert held.holder == second.holder
        assert held.expires_in <= 30

    def test_a_released_lease_is_not_renewed(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key))
        store.release(lease)

        assert store.renew([(lease, 30)]) == [Outcome.LOST]

        assert store.peek(key) is None

    def test_a_stranger_renews_nothing(self, store: LockStore, key: str) -> None:
        lease = self.granted(store, self.a_claim(key, ttl=30))
        forged = [self.forged(lease, holder=self.a_claim(key).holder)]
        if Feature.FENCING in store.features:
            forged.append(self.forged(lease, token=lease.token - 1))

        outcomes = store.renew([(one, 90) for one in forged])

        assert outcomes == [Outcome.LOST] * len(forged)
        held = store.peek(key)
        assert held is not None
        assert held.expires_in <= 30

    def test_many_are_renewed_in_one_call_and_each_is_answered(
        self, store: LockStore, key: str
    ) -> None:
        leases = [self.granted(store, self.a_claim(f"{key}:{n}", ttl=30)) for n in range(100)]
        store.release(leases[3])
        store.release(leases[98])

        outcomes = store.renew([(lease, 60 + n) for n, lease in enumerate(leases)], within=2.0)

        assert [n for n, one in enumerate(outcomes) if one is Outcome.LOST] == [3, 98]
        assert len(outcomes) == 100
        for n in (0, 50, 99):
            held = store.peek(f"{key}:{n}")
            assert held is not None
            assert 50 + n < held.expires_in <= 60 + n

    def test_renewing_nothing_is_no_mistake(self, store: LockStore) -> None:
        assert store.renew([]) == []
