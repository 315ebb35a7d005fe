"""The contract, on a cluster of etcd that is played in memory: its clock is moved."""

from __future__ import annotations

import pytest

from celery_lock.contract import StoreContract
from celery_lock.stores.etcd import EtcdStore
from celery_lock.stores.manual_clock import ManualClock
from tests.fake_etcd import FakeEtcd

pytestmark = pytest.mark.contract


class TestEtcdPlayed(StoreContract):
    @pytest.fixture(autouse=True)
    def _fresh(self) -> None:
        self.clock = ManualClock()
        self.fake = FakeEtcd(self.clock)

    def open_store(self, prefix: str) -> EtcdStore:
        return self.fake.store(prefix)

    def elapse(self, seconds: float) -> None:
        self.clock.move(seconds)
