"""One store used by many: threads, greenlets, processes; never more than ten connections."""

from __future__ import annotations

import os
import threading
import time

import pytest

from celery_lock.errors import StoreUnavailable
from celery_lock.model import Lease
from celery_lock.stores.redis import RedisStore
from tests.contract.conftest import OpenStore, claim_of
from tests.contract.programs.running import run
from tests.services.redis_server import RedisServer
from tests.services.waiting import STALL, wait_for

pytestmark = pytest.mark.contract

LONGER_THAN_A_STALL = STALL + 1.0


def started(*targets: object) -> list[threading.Thread]:
    threads = [threading.Thread(target=target, daemon=True) for target in targets]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    return threads


def clients(server: RedisServer, name: str) -> list[dict[str, str]]:
    with server.client() as client:
        return [one for one in client.client_list() if one["name"] == name]


def test_eleven_threads_share_ten_connections(
    redis_url: str, redis_server: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(redis_url + "?client_name=threads", deadline=20.0)
    together = threading.Barrier(11)
    done: list[int] = []

    def work() -> None:
        together.wait()
        for _ in range(30):
            lease = store.acquire(claim_of())
            assert isinstance(lease, Lease)
            assert store.release(lease)
        done.append(1)

    for thread in started(*[work] * 11):
        thread.join(60)

    assert len(done) == 11
    assert 1 <= len(clients(redis_server, "threads")) <= 10


def test_a_thread_alone_uses_one_connection(
    redis_url: str, redis_server: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(redis_url + "?client_name=alone")

    for _ in range(5):
        lease = store.acquire(claim_of())
        assert isinstance(lease, Lease)
        store.release(lease)

    assert len(clients(redis_server, "alone")) == 1


def test_a_call_that_finds_no_free_connection_says_so_at_its_deadline(redis_url: str) -> None:
    class Narrow(RedisStore):
        CONNECTIONS = 1

    store = Narrow(redis_url, deadline=0.2)
    [watcher] = started(lambda: store.watch("order:7", 2.0))
    wait_for(lambda: not store._server._own.value[0]._idle, "the watcher to have it")

    with pytest.raises(StoreUnavailable, match="all connections of this process stayed in use"):
        store.peek("order:7")

    watcher.join(5)
    store.close()


def test_no_more_than_four_watchers_block_a_connection(
    redis_url: str, redis_server: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(redis_url, deadline=20.0)
    watchers = started(
        *[lambda n=n: store.watch(f"order:{n}", LONGER_THAN_A_STALL) for n in range(8)]
    )

    with redis_server.client() as client:
        wait_for(lambda: client.info("clients")["blocked_clients"] == 4, "four watchers")
        assert store.peek("order:7") is None
        assert client.info("clients")["blocked_clients"] <= 4

    for watcher in watchers:
        watcher.join(10)
        assert not watcher.is_alive()


def test_the_watchers_of_one_key_block_one_connection(
    redis_url: str, redis_server: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(redis_url, deadline=20.0)
    watchers = started(*[lambda: store.watch("order:7", LONGER_THAN_A_STALL)] * 6)

    with redis_server.client() as client:
        wait_for(lambda: client.info("clients")["blocked_clients"] == 1, "one watcher")
        time.sleep(0.1)
        assert client.info("clients")["blocked_clients"] == 1

    for watcher in watchers:
        watcher.join(10)
        assert not watcher.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_uses_nothing_of_its_parents(redis_url: str) -> None:
    assert len(run("forks", redis_url).splitlines()) == 5


def test_two_hundred_greenlets_share_ten_connections(redis_url: str) -> None:
    pytest.importorskip("gevent")

    assert run("greenlets", redis_url) == "well\n"
