"""The contract, on every store that this package has."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from celery_lock.contract import StoreContract
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from tests.contract.by_entry_point import ByEntryPoint
from tests.services import Certificates, RedisCluster, RedisServer, Watched

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


class TestMemoryOnTheSteadyClock(ByEntryPoint):
    schemes = ("memory",)

    @pytest.fixture(autouse=True)
    def _fresh(self) -> None:
        self.urls = [f"memory://{uuid4().hex}"]


class TestRedis(ByEntryPoint):
    schemes = ("redis",)

    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.urls = [redis_url]


class TestRedisInEveryOtherWay(ByEntryPoint):
    """Over TLS and over a socket file in turn: a handshake for each test would take too long."""

    schemes = ("rediss", "unix", "redis+socket")

    @pytest.fixture(autouse=True)
    def _server(self, secure: RedisServer) -> None:
        file = secure.unix_url
        self.urls = [secure.url, file, file.replace("unix:", "redis+socket:")]


class TestRedis62(ByEntryPoint):
    schemes = ("redis",)

    @pytest.fixture(autouse=True)
    def _server(self, redis_62_url: str) -> None:
        self.urls = [redis_62_url]


class TestValkey(ByEntryPoint):
    schemes = ("redis",)

    @pytest.fixture(autouse=True)
    def _server(self, valkey_url: str) -> None:
        self.urls = [valkey_url]


class TestSentinel(ByEntryPoint):
    schemes = ("sentinel",)

    @pytest.fixture(autouse=True)
    def _servers(self, watched: Watched) -> None:
        watched.empty()
        self.urls = [watched.url]


class TestCluster(ByEntryPoint):
    """With TLS and without it in turn, as above."""

    schemes = ("redis+cluster", "rediss+cluster")

    @pytest.fixture(autouse=True)
    def _server(self, redis_cluster: RedisCluster) -> None:
        redis_cluster.empty()
        self.urls = [redis_cluster.plain_url, redis_cluster.url]


@pytest.fixture(scope="module")
def secure(
    redis_binary: str, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """A server that is reached with TLS, and over a socket file."""
    folder = tmp_path_factory.mktemp("secure")
    with RedisServer(redis_binary, folder, tls=certificates, unix_socket=True) as server:
        yield server
