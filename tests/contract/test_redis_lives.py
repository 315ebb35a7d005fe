"""What the store leaves on a Redis server: nothing without an expiry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from celery_lock.model import Claim, Lease
from celery_lock.stores.redis import RedisStore

pytestmark = pytest.mark.contract


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    store = RedisStore(redis_url)
    yield store
    store.close()


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def ttls(server: redis.Redis) -> dict[str | bytes, int]:
    """Milliseconds that each key of the server still lives; -1: for ever."""
    return {key: server.pttl(key) for key in server.keys("*")}


def take(store: RedisStore, *, holder: str = "a#n#1#x", at_least: float = 0) -> Lease:
    lease = store.acquire(Claim("k", holder, ttl=5, at_least=at_least))
    assert isinstance(lease, Lease)
    return lease


@pytest.mark.parametrize("at_least", [0, 100], ids=["no floor", "a floor"])
def test_no_step_leaves_a_key_without_an_expiry(
    store: RedisStore, server: redis.Redis, at_least: float
) -> None:
    steps = []
    lease = take(store, at_least=at_least)
    steps.append(ttls(server))
    take(store, at_least=at_least)  # the same lease, its answer was lost
    steps.append(ttls(server))
    store.acquire(Claim("k", "b#n#1#y", ttl=5, watching=True))
    steps.append(ttls(server))
    store.renew([(lease, 50)])
    steps.append(ttls(server))
    store.release(lease)
    steps.append(ttls(server))
    store.undo(Claim("k", "c#n#1#z", ttl=5))
    store.undo(Claim("never taken", "c#n#1#z", ttl=5))
    steps.append(ttls(server))

    assert all(step for step in steps)
    assert min(ttl for step in steps for ttl in step.values()) > 0


def test_the_state_of_a_key_outlives_its_lease_and_its_floor(
    store: RedisStore, server: redis.Redis
) -> None:
    """Else a holder's release, or a late claim, would be answered without knowing what was."""
    lease = take(store, at_least=100)
    (taken,) = ttls(server).values()
    store.renew([(lease, 200)])
    (renewed,) = ttls(server).values()
    store.release(lease)
    (released,) = ttls(server).values()

    assert taken > 100_000
    assert renewed > 200_000
    assert released > 100_000 - 1000
