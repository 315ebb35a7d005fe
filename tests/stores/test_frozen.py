"""Of a hundred claims to a store that is frozen one waits, and the next grant comes soon after."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.errors import StoreError
from celery_lock.events import Subject
from celery_lock.model import Claim
from celery_lock.stores import open_store
from tests.services import (
    EtcdCluster,
    RedisCluster,
    RedisServer,
    Watched,
    ZooKeeperEnsemble,
    find_redis,
    wait_for,
)
from tests.services.redlock_nodes import RedlockNodes

DEADLINE = 2.0
OUTAGE = 8.0
CLAIMS = 100

_numbers = count(1)

Frozen = tuple[str, Sequence[Any]]
"""A URL, and what is frozen of its servers."""


def _binary() -> str:
    binary = find_redis()
    assert binary is not None
    return binary


@contextmanager
def single(folder: Path) -> Iterator[Frozen]:
    with RedisServer(_binary(), folder) as server:
        yield server.url, [server]


@contextmanager
def sentinel(folder: Path) -> Iterator[Frozen]:
    with Watched(_binary(), folder, replicas=1, sentinels=3) as watched:
        yield watched.url, [*watched.servers, *watched.sentinels]


@contextmanager
def cluster(folder: Path) -> Iterator[Frozen]:
    with RedisCluster(_binary(), folder, masters=3) as servers:
        yield servers.url, servers.masters()


@contextmanager
def redlock(folder: Path) -> Iterator[Frozen]:
    with RedlockNodes(_binary(), folder) as five:
        yield five.url, five.nodes[:3]


@contextmanager
def etcd(folder: Path) -> Iterator[Frozen]:
    with EtcdCluster(folder) as trio:
        yield trio.url, trio.servers[:2]


@contextmanager
def zookeeper(folder: Path) -> Iterator[Frozen]:
    with ZooKeeperEnsemble(folder) as trio:
        yield trio.url_for(), trio.servers[:2]


OPTIONS: dict[Callable[..., Any], dict[str, Any]] = {redlock: {"longest_ttl": 20.0}}


def claimed(locker: Locker) -> Grant:
    """Claim a key that nobody has."""
    number = next(_numbers)
    claim = Claim(f"key-{number}", f"task-{number}#node#1#{number:x}", 20.0)
    got = locker.claim(Ask(claim, Subject("shop.charge", f"task-{number}", "key")))
    assert isinstance(got, Grant)
    return got


def granted(locker: Locker) -> bool:
    try:
        locker.release(claimed(locker))
    except StoreError:
        return False
    return True


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", [single, sentinel, cluster, redlock, etcd, zookeeper])
def test_of_a_hundred_claims_one_waits(
    kind: Callable[[Path], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with kind(tmp_path) as (url, servers):
        store = open_store(url, deadline=DEADLINE, options=OPTIONS.get(kind))
        locker = Locker(store, deadline=DEADLINE)
        wait_for(lambda: granted(locker), "the store", timeout=60)
        for server in servers:
            server.pause()
        waited, began = [], time.monotonic()

        for number in range(CLAIMS):
            asked = time.monotonic()
            assert not granted(locker)
            waited.append(time.monotonic() - asked)
            time.sleep(max(0.0, began + (number + 1) * OUTAGE / CLAIMS - time.monotonic()))

        for server in servers:
            server.resume()
        back = time.monotonic()
        wait_for(lambda: granted(locker), "the first grant", timeout=30)
        soon = time.monotonic() - back
        store.close()
    parts = len(servers) if kind is cluster else 1  # each master is found out by itself
    long = sum(one > DEADLINE / 2 for one in waited)
    with capsys.disabled():
        print(f"\n  {kind.__name__}: {long} waited, first grant {soon:.2f} s after it was back")
    assert 1 <= long <= parts + 1
