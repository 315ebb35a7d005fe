"""The contract on ZooKeeper, whose time a store knows as an interval: leases live that longer."""

from __future__ import annotations

from collections.abc import Sequence

from celery_lock.model import LockStore
from celery_lock.stores.zookeeper import ZooKeeperStore
from celery_lock.stores.zookeeper.clock import LeaderClock
from tests.contract.by_entry_point import ByEntryPoint
from tests.services.waiting import wait_for

__all__ = ["OnZooKeeper"]


class OnZooKeeper(ByEntryPoint):
    """The interval is as wide as the answer was slow that it is known by, and so a lease lives."""

    schemes = ("zookeeper",)
    stores: Sequence[ZooKeeperStore] = ()
    """Those of this test."""

    def open_store(self, prefix: str) -> LockStore:
        store = super().open_store(prefix)
        assert isinstance(store, ZooKeeperStore)
        self.stores = [*self.stores, store]
        return store

    def outlast(self, seconds: float) -> None:
        """Let so much time pass that each store knows it."""
        clocks = [store._own.value.registers.clock for store in self.stores]
        ends = [at_latest(clock) + seconds for clock in clocks]
        self.elapse(seconds)
        wait_for(
            lambda: all(at_least(clock) >= end for clock, end in zip(clocks, ends, strict=True)),
            f"{seconds} s by the clock of each store",
            poll=0.005,
        )


def at_latest(clock: LeaderClock) -> float:
    """The latest moment that is the present, as far as a store knows."""
    known = clock.interval()
    return 0.0 if known is None else known[1] / 1e6


def at_least(clock: LeaderClock) -> float:
    """The earliest such moment. Who knows nothing asks before it judges by it."""
    known = clock.interval()
    return float("inf") if known is None else known[0] / 1e6
