"""A primary with two replicas behind three sentinels: it dies, hangs, is replaced, is back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Held, Lease, Outcome
from celery_lock.stores.redis.sentinel import SentinelStore
from tests.contract.conftest import claim_of
from tests.services import RedisServer, Watched, find_redis, wait_for
from tests.services.sentinel_server import SERVICE


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Watched]:
    binary = find_redis()
    assert binary is not None
    with Watched(binary, tmp_path, replicas=2, sentinels=3) as servers:
        yield servers


class Stores:
    """Opens stores that are closed with the test."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def open(self, watched: Watched, deadline: float = 2.0, **options: Any) -> SentinelStore:
        store = SentinelStore(watched.url, options=options, deadline=deadline)
        self._stack.callback(store.close)
        return store


@pytest.fixture
def stores() -> Iterator[Stores]:
    with ExitStack() as stack:
        yield Stores(stack)


def held(store: SentinelStore, key: str = "k") -> Lease:
    lease = store.acquire(claim_of(key))
    assert isinstance(lease, Lease)
    return lease


def is_granted(store: SentinelStore, ttl: float = 30.0) -> bool:
    try:
        return isinstance(store.acquire(claim_of(ttl=ttl)), Lease)
    except StoreError:
        return False


def renewed(store: SentinelStore, lease: Lease) -> bool:
    try:
        return store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    except StoreError:
        return False


@pytest.mark.parametrize("replicas", [0, 1, 2])
def test_a_lease_outlives_its_primary(trio: Watched, stores: Stores, replicas: int) -> None:
    store = stores.open(trio, replicas=replicas)
    lease = held(store)
    wait_for(lambda: all(_has(server, "k") for server in trio.servers), "replication")
    before = trio.primary

    before.kill()
    trio.wait_failed_over(before)

    if replicas < 2:  # one of two is left, and it is one that the other follows
        wait_for(lambda: renewed(store, lease), "a renewal", timeout=30.0)
    else:
        with pytest.raises(StoreUnavailable, match="only 1 of its replicas have"):
            store.renew([(lease, 30.0)])
    found = store.acquire(claim_of("k"))
    assert isinstance(found, Held)
    assert found.token == lease.token


def _has(server: RedisServer, key: str) -> bool:
    with server.client() as client:
        return bool(client.exists(f"celery-lock:2:{{{key}}}"))


def test_tokens_grow_over_a_fail_over(trio: Watched, stores: Stores) -> None:
    store = stores.open(trio)
    lease = held(store)
    store.release(lease)
    before = trio.primary

    before.kill()
    trio.wait_failed_over(before)

    assert held(store).token > lease.token


def test_a_primary_that_hangs_costs_one_call_its_deadline(trio: Watched, stores: Stores) -> None:
    store = stores.open(trio, deadline=1.0)
    held(store)
    before = trio.primary
    before.pause()

    with pytest.raises(StoreUnavailable, match="no answer within 1 s"):
        store.acquire(claim_of())
    with pytest.raises(StoreUnavailable, match=f"name 127.0.0.1:{before.port} as the primary"):
        store.acquire(claim_of())

    trio.wait_failed_over(before)
    assert is_granted(store)
    before.resume()


@pytest.mark.parametrize("options", [{"replicas": 1}, {"restart_guard": True, "longest_ttl": 2}])
def test_a_primary_that_was_frozen_gives_nothing_away_when_it_goes_on(
    trio: Watched, stores: Stores, options: dict[str, Any]
) -> None:
    idle = stores.open(trio, **options)
    wait_for(lambda: is_granted(idle, ttl=1.0), "an old server", timeout=20.0)
    before = trio.primary
    before.pause()
    after = trio.wait_failed_over(before)
    busy = stores.open(trio, **options)
    wait_for(lambda: is_granted(busy, ttl=1.0), "a grant", timeout=30.0)

    before.resume()
    lease = idle.acquire(claim_of("k", ttl=1.0))

    assert isinstance(lease, Lease)
    assert _has(after, "k"), "it was the new primary that gave it"


def test_a_fail_over_that_is_asked_for_is_noticed_within_seconds(
    trio: Watched, stores: Stores
) -> None:
    store = stores.open(trio)
    held(store)
    before = trio.primary

    trio.sentinels[0].ask("FAILOVER", SERVICE)
    after = trio.wait_failed_over(before)
    begun = monotonic()
    wait_for(lambda: is_granted(store) and store._server.find().port == after.port, "the new one")

    with before.client() as client:
        role = client.execute_command("ROLE")[0]
    assert role == b"master" or monotonic() - begun > 6.0, "nobody has told its clients anything"


def test_after_a_fail_over_a_guard_gives_nothing_until_the_longest_lease_has_ended(
    trio: Watched, stores: Stores
) -> None:
    store = stores.open(trio, restart_guard=True, longest_ttl=3.0)
    wait_for(lambda: is_granted(store, ttl=1.0), "an old server", timeout=20.0)
    before = trio.primary
    before.kill()
    trio.wait_failed_over(before)

    with pytest.raises(StoreUnavailable, match="restart_guard"):
        wait_for(lambda: _asked(store), "an answer of the new primary")

    wait_for(lambda: is_granted(store, ttl=1.0), "the end of the guard", timeout=10.0)


def _asked(store: SentinelStore) -> bool:
    try:
        return isinstance(store.acquire(claim_of(ttl=1.0)), Lease)
    except StoreUnavailable as error:
        if "restart_guard" in str(error):
            raise
        return False


@pytest.mark.parametrize("number", [1, 2])
def test_dead_sentinels_are_no_matter_while_the_primary_is_well(
    trio: Watched, stores: Stores, number: int
) -> None:
    for sentinel in trio.sentinels[:number]:
        sentinel.kill()

    assert is_granted(stores.open(trio))


def test_without_any_sentinel_the_known_primary_is_used(trio: Watched, stores: Stores) -> None:
    store = stores.open(trio, deadline=0.5)
    held(store)
    for sentinel in trio.sentinels:
        sentinel.kill()

    assert is_granted(store)
    with pytest.raises(StoreUnavailable, match="none of its sentinels"):
        stores.open(trio).acquire(claim_of())
