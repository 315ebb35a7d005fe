"""The contract, on every store that this package has."""

from __future__ import annotations

import pytest

from celery_lock.contract import StoreContract
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.stores.redis import RedisStore

pytestmark = pytest.mark.contract


class TestMemory(StoreContract):
    @pytest.fixture(autouse=True)
    def _fresh(self) -> None:
        self.clock = ManualClock()
        self.server = MemoryServer(self.clock)

    def open_store(self, prefix: str) -> MemoryStore:
        return MemoryStore(self.server, prefix=prefix)

    def elapse(self, seconds: float) -> None:
        self.clock.move(seconds)


class TestMemoryOnTheSteadyClock(StoreContract):
    @pytest.fixture(autouse=True)
    def _fresh(self) -> None:
        self.server = MemoryServer()

    def open_store(self, prefix: str) -> MemoryStore:
        return MemoryStore(self.server, prefix=prefix)


class TestRedis(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.url = redis_url

    def open_store(self, prefix: str) -> RedisStore:
        return RedisStore(self.url, prefix=prefix)


class TestRedis62(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_62_url: str) -> None:
        self.url = redis_62_url

    def open_store(self, prefix: str) -> RedisStore:
        return RedisStore(self.url, prefix=prefix)


class TestValkey(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, valkey_url: str) -> None:
        self.url = valkey_url

    def open_store(self, prefix: str) -> RedisStore:
        return RedisStore(self.url, prefix=prefix)
