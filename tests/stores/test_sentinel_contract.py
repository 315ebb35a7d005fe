"""The contract behind three sentinels, with replicas that acknowledge, on each kind of server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from celery_lock.model import LockStore
from celery_lock.stores import open_store
from tests.contract.by_entry_point import ByEntryPoint
from tests.services import Watched

Factory = pytest.TempPathFactory


@pytest.fixture(scope="module")
def trio(redis_binary: str, tmp_path_factory: Factory) -> Iterator[Watched]:
    with Watched(redis_binary, tmp_path_factory.mktemp("trio"), replicas=2, sentinels=3) as one:
        yield one


@pytest.fixture(scope="module")
def valkey(valkey_binary: str, tmp_path_factory: Factory) -> Iterator[Watched]:
    with Watched(valkey_binary, tmp_path_factory.mktemp("valkey"), sentinels=3) as one:
        yield one


@pytest.fixture(scope="module")
def old(redis_62_binary: str, tmp_path_factory: Factory) -> Iterator[Watched]:
    with Watched(redis_62_binary, tmp_path_factory.mktemp("old"), sentinels=3) as one:
        yield one


class BehindThree(ByEntryPoint):
    schemes = ("sentinel",)
    options: ClassVar[Mapping[str, Any]] = {}

    def open_store(self, prefix: str) -> LockStore:
        return open_store(self.urls[0], prefix=prefix, deadline=self.deadline, options=self.options)


class OnTheTrio(BehindThree):
    @pytest.fixture(autouse=True)
    def _servers(self, trio: Watched) -> None:
        self.urls = [trio.url]


class TestThreeSentinels(OnTheTrio): ...


class TestEachLeaseOnOneReplica(OnTheTrio):
    options: ClassVar[Mapping[str, Any]] = {"replicas": 1}


class TestEachLeaseOnAllReplicas(OnTheTrio):
    options: ClassVar[Mapping[str, Any]] = {"replicas": 2}


class TestThreeSentinelsOfValkey(BehindThree):
    @pytest.fixture(autouse=True)
    def _servers(self, valkey: Watched) -> None:
        self.urls = [valkey.url]


class TestThreeSentinelsOfRedis62(BehindThree):
    @pytest.fixture(autouse=True)
    def _servers(self, old: Watched) -> None:
        self.urls = [old.url]
