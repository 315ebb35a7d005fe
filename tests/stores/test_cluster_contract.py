"""The contract on clusters of several masters, of each server that is supported."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from celery_lock.model import LockStore
from celery_lock.stores import open_store
from tests.contract.by_entry_point import ByEntryPoint
from tests.services import RedisCluster

Factory = pytest.TempPathFactory


@pytest.fixture(scope="module")
def six(redis_binary: str, tmp_path_factory: Factory) -> Iterator[RedisCluster]:
    with RedisCluster(redis_binary, tmp_path_factory.mktemp("6"), masters=3, replicas=1) as one:
        yield one


@pytest.fixture(scope="module")
def valkey(valkey_binary: str, tmp_path_factory: Factory) -> Iterator[RedisCluster]:
    with RedisCluster(valkey_binary, tmp_path_factory.mktemp("valkey"), masters=3) as one:
        yield one


@pytest.fixture(scope="module")
def old(redis_62_binary: str, tmp_path_factory: Factory) -> Iterator[RedisCluster]:
    with RedisCluster(redis_62_binary, tmp_path_factory.mktemp("old"), masters=3) as one:
        yield one


class OnACluster(ByEntryPoint):
    schemes = ("redis+cluster",)


class TestThreeMastersWithReplicas(OnACluster):
    @pytest.fixture(autouse=True)
    def _servers(self, six: RedisCluster) -> None:
        self.urls = [six.url]


class TestEachLeaseOnAReplicaToo(OnACluster):
    @pytest.fixture(autouse=True)
    def _servers(self, six: RedisCluster) -> None:
        self.urls = [six.url]

    def open_store(self, prefix: str) -> LockStore:
        options = {"replicas": 1}
        return open_store(self.urls[0], prefix=prefix, deadline=self.deadline, options=options)


class TestThreeMastersOfValkey(OnACluster):
    @pytest.fixture(autouse=True)
    def _servers(self, valkey: RedisCluster) -> None:
        self.urls = [valkey.url]


class TestThreeMastersOfRedis62(OnACluster):
    @pytest.fixture(autouse=True)
    def _servers(self, old: RedisCluster) -> None:
        self.urls = [old.url]
