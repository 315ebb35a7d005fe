"""A lock with several permits, drained to the last one, keeps the contract of a lock with one."""

from __future__ import annotations

from typing import Any

import pytest

from celery_lock.contract import StoreContract
from celery_lock.model import Feature
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.stores.redis import RedisStore

from .drained import DrainedStore

pytestmark = pytest.mark.contract


class Drained(StoreContract):
    # until when the record of an end counts is not to be seen beside those who have permits
    test_a_copy_waits_where_a_run_has_ended_and_that_was_not_told: Any = None


class TestMemoryDrained(Drained):
    @pytest.fixture(autouse=True)
    def _fresh(self) -> None:
        self.clock = ManualClock()
        self.server = MemoryServer(self.clock)

    def open_store(self, prefix: str) -> Any:
        # (of permits it wakes only the thread that was refused, and these tests watch in another)
        return DrainedStore(MemoryStore(self.server, prefix=prefix), 5, lacks=[Feature.WATCH])

    def elapse(self, seconds: float) -> None:
        self.clock.move(seconds)


class TestRedisDrained(Drained):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.url = redis_url

    def open_store(self, prefix: str) -> Any:
        return DrainedStore(RedisStore(self.url, prefix=prefix), 3)
