"""The contract on three members of etcd, and what only several of them can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from celery_lock.contract.side_by_side import side_by_side
from celery_lock.errors import StoreUnavailable
from celery_lock.model import Claim, Lease, Outcome
from celery_lock.stores.etcd import EtcdStore
from tests.contract.by_entry_point import ByEntryPoint
from tests.contract.conftest import claim_of
from tests.services import EtcdCluster


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd-of-three")) as cluster:
        yield cluster


@side_by_side
class TestEtcdOfThree(ByEntryPoint):
    schemes = ("etcd",)

    @pytest.fixture(autouse=True)
    def _servers(self, three: EtcdCluster) -> None:
        self.urls = [three.url]


def granted(store: EtcdStore, claim: Claim) -> Lease:
    lease = store.acquire(claim)
    assert isinstance(lease, Lease), lease
    return lease


def test_a_call_goes_on_through_an_election(three: EtcdCluster) -> None:
    with closing(EtcdStore(three.url, deadline=20.0)) as store:
        lease = granted(store, claim_of())
        leader = three.leader()
        leader.kill()

        assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
        assert granted(store, claim_of()).token > lease.token

        leader.start()
        assert store.release(lease)


def test_without_a_majority_nothing_is_given_and_nothing_is_forgotten(three: EtcdCluster) -> None:
    with closing(EtcdStore(three.url, deadline=2.0)) as store:
        lease = granted(store, claim_of("majority", ttl=60.0))
        gone = three.servers[:2]
        for member in gone:
            member.kill()

        with pytest.raises(StoreUnavailable, match="majority"):
            store.acquire(claim_of())

        three.start(gone)
        patient = EtcdStore(three.url, deadline=20.0)
        assert patient.renew([(lease, 60.0)]) == [Outcome.RENEWED]
        assert patient.release(lease)
        patient.close()


def test_ten_thousand_keys_are_named_renewed_and_given_back(three: EtcdCluster) -> None:
    with closing(EtcdStore(three.url, deadline=30.0)) as store:
        names = [f"many:{number:05}" for number in range(10_000)]
        leases: list[Lease] = []
        for first in range(0, len(names), 25):
            some = store.acquire_all(
                [claim_of(name, ttl=300.0) for name in names[first : first + 25]]
            )
            assert isinstance(some, list)
            leases += some

        assert store.keys("many:") == names
        assert store.renew([(one, 300.0) for one in leases]) == [Outcome.RENEWED] * 10_000
        assert all(store.release_all([(one, None) for one in leases]))
        assert store.keys("many:") == []
