"""`restart_guard`: a server that may have forgotten who holds a key gives none for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from celery_lock.errors import LockConfigurationError, StoreError, StoreUnavailable
from celery_lock.model import Held, Lease, Outcome
from celery_lock.stores.redis import RedisStore
from celery_lock.stores.redis.cluster import ClusterStore
from celery_lock.stores.redis.link import guard
from celery_lock.stores.redis.link.slots import slot_of
from tests.contract.conftest import OpenStore, claim_of
from tests.services.fixtures import RedisFactory
from tests.services.redis_cluster import RedisCluster
from tests.services.redis_server import RedisServer
from tests.services.waiting import wait_for

pytestmark = pytest.mark.contract

SHORT = 0.2
"""A `longest_ttl` that a test can wait for."""


def guarded(longest: float = SHORT) -> dict[str, Any]:
    return {"restart_guard": True, "longest_ttl": longest}


def age(server: RedisServer) -> None:
    """Wait until a server has been up for longer than `SHORT`, in whole seconds as it counts."""
    with server.client() as client:
        wait_for(lambda: client.info("server")["uptime_in_seconds"] > 1, "an older server")


def refused(store: RedisStore) -> str:
    with pytest.raises(StoreUnavailable) as raised:
        store.acquire(claim_of(ttl=SHORT))
    return str(raised.value)


def granted(store: RedisStore) -> bool:
    return isinstance(store.acquire(claim_of(ttl=SHORT)), Lease)


def is_granted(store: RedisStore) -> bool:
    try:
        return granted(store)
    except StoreUnavailable:
        return False


@pytest.fixture
def old(redis_factory: RedisFactory) -> RedisServer:
    """A server that is old enough to give keys."""
    server = redis_factory(args=["--repl-diskless-sync-delay", "0"])
    for prefix in ("celery-lock:", "b:"):
        with closing(RedisStore(server.url, options=guarded(), prefix=prefix)) as store:
            wait_for(partial(is_granted, store), "an old server")
    return server


def test_a_server_that_has_just_begun_gives_no_keys(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url, options=guarded(60.0))
    plain = open_redis(fresh_redis.url)
    lease = plain.acquire(claim_of())
    assert isinstance(lease, Lease)

    said = refused(store)

    assert "may have forgotten who holds a key" in said
    assert "longest_ttl=60" in said
    with pytest.raises(StoreUnavailable, match="restart_guard"):
        store.acquire_all([claim_of(), claim_of()])
    assert store.renew([(lease, 5.0)]) == [Outcome.RENEWED], "who holds a key goes on"
    assert isinstance(store.peek(lease.key), Held)
    assert store.release(lease)


def test_an_old_server_gives_keys_until_it_begins_again(
    old: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(old.url, options=guarded())
    assert granted(store)

    old.restart()

    refused(store)
    wait_for(lambda: is_granted(store), "the end of the guard")


def test_a_replica_that_becomes_the_primary_gives_no_keys(
    old: RedisServer, redis_factory: RedisFactory, open_redis: OpenStore
) -> None:
    replica = redis_factory(args=["--replicaof", old.host, str(old.port)])
    assert granted(open_redis(old.url, options=guarded()))
    age(replica)
    with old.client() as client:
        wait_for(lambda: client.execute_command("WAIT", 1, 10), "the replica")
    with replica.client() as client:
        client.replicaof("no", "one")
    store = open_redis(replica.url, options=guarded())

    refused(store)

    wait_for(lambda: is_granted(store), "the end of the guard")
    assert granted(open_redis(replica.url, options=guarded())), "it is marked for all"


def test_who_was_a_replica_meanwhile_is_found_out_over_the_same_connection(
    old: RedisServer,
    redis_factory: RedisFactory,
    open_redis: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_redis(old.url, options=guarded())
    assert granted(store)
    other = redis_factory(args=["--repl-diskless-sync-delay", "0"])
    with closing(RedisStore(other.url, options=guarded())) as elsewhere:
        wait_for(lambda: is_granted(elsewhere), "the other one")
    with old.client() as client:
        client.replicaof(other.host, other.port)
        wait_for(lambda: client.info("replication")["master_link_status"] == "up", "a copy")
        client.replicaof("no", "one")
    monkeypatch.setattr(guard, "ASK_AGAIN", 0.0)

    refused(store)


def test_two_prefixes_are_guarded_apart(old: RedisServer, open_redis: OpenStore) -> None:
    stores = [
        open_redis(old.url, options=guarded(), prefix=prefix) for prefix in ("celery-lock:", "b:")
    ]

    assert all(granted(store) for store in stores)

    with old.client() as client:
        assert {b"celery-lock:2:guard:{server}", b"b:2:guard:{server}"} <= set(client.keys())
    assert not any(key.startswith("server") for key in stores[0].keys(""))


def test_a_node_of_a_cluster_keeps_its_mark_in_a_slot_of_its_own(
    redis_cluster: RedisCluster, cluster_url: str
) -> None:
    options = guarded()
    with closing(ClusterStore(cluster_url, options=options)) as store:
        wait_for(lambda: is_granted(store), "the end of the guard")

        assert store.longest_ttl == SHORT
    with redis_cluster.nodes[0].client() as client:
        (mark,) = client.keys("celery-lock:2:guard:*")
    assert slot_of(mark.decode()) == 0


def test_who_may_not_ask_how_old_the_server_is_gets_no_key(
    redis_factory: RedisFactory, open_redis: OpenStore
) -> None:
    server = redis_factory(users={"shop": "on >pw ~celery-lock:* +@all -info"})
    store = open_redis(server.url_for(user="shop", password="pw"), options=guarded())

    with pytest.raises(StoreError, match=r"\+info"):
        store.acquire(claim_of(ttl=SHORT))


@pytest.fixture
def store(old: RedisServer) -> Iterator[RedisStore]:
    with closing(RedisStore(old.url, options=guarded())) as opened:
        yield opened


def test_a_lease_that_could_outlive_the_guard_is_refused(store: RedisStore) -> None:
    assert store.longest_ttl == SHORT

    with pytest.raises(LockConfigurationError, match=r"longest_ttl is 0\.2 s"):
        store.acquire(claim_of(ttl=2 * SHORT))
    assert store.check() == [], "its own lease ends in time"
    with pytest.raises(LockConfigurationError, match="longest_ttl"):
        store.acquire_all([claim_of(ttl=SHORT), claim_of(ttl=2 * SHORT)])

    assert isinstance(store.acquire(claim_of(ttl=60.0, unconfirmed=True)), Lease), "only kept"


def test_a_worker_may_start_where_all_leases_are_short(store: RedisStore) -> None:
    assert not [said for said in store.check() if "longest_ttl" in said]
