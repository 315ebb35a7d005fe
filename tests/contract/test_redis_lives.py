"""What the store leaves on a Redis server: nothing without an expiry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from celery_lock.model import Claim, End, Holder, Lease
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


DAY = 86_400
GRACE = 60


TTL = 5


def queue(store: RedisStore, *, task: str = "a", limit: int = 1) -> str:
    """Take a key for a message, as its publisher does; return who has it until that comes."""
    heir = str(Holder.for_retry(task, 0))
    claim = Claim("k", f"{task}#n#1#p", ttl=TTL, limit=limit, unconfirmed=True)
    lease = store.acquire(claim)
    assert isinstance(lease, Lease)
    assert store.release(lease, End(heir=heir, heir_ttl=DAY))
    return heir


def adopt(
    store: RedisStore, *, task: str = "a", limit: int = 1, at_least: float = 0, ttl: float = TTL
) -> Lease:
    heir = str(Holder.for_retry(task, 0))
    claim = Claim("k", f"{task}#n#1#x", ttl, limit=limit, at_least=at_least, heir_of=heir)
    lease = store.acquire(claim)
    assert isinstance(lease, Lease)
    return lease


def seconds(server: redis.Redis) -> float:
    return max(ttls(server).values()) / 1000


def test_a_key_that_was_kept_for_its_message_is_forgotten_when_that_has_run(
    store: RedisStore, server: redis.Redis
) -> None:
    """A publisher keeps it for a day: a hundred new keys a second would else be gigabytes."""
    queue(store)
    assert seconds(server) > DAY

    assert store.release(adopt(store))

    assert GRACE < seconds(server) <= GRACE + TTL


@pytest.mark.parametrize("freed", [False, True], ids=["given back", "freed"])
def test_its_state_lives_for_as_long_as_the_lease_that_ended_would_have(
    store: RedisStore, server: redis.Redis, freed: bool
) -> None:
    """The release may come again until then, and tokens are to grow."""
    queue(store)
    lease = adopt(store, ttl=300)

    assert store.free("k", lease.holder) if freed else store.release(lease)

    assert GRACE + 290 < seconds(server) <= GRACE + 300


def test_a_key_that_is_freed_with_its_message_is_forgotten_then(
    store: RedisStore, server: redis.Redis
) -> None:
    assert store.free("k", queue(store)) is not None

    assert seconds(server) <= GRACE


def test_a_floor_outlasts_the_key_that_was_kept_for_a_message(
    store: RedisStore, server: redis.Redis
) -> None:
    queue(store)

    store.release(adopt(store, at_least=500))

    assert GRACE + 490 < seconds(server) <= GRACE + 500


def test_a_permit_that_is_kept_for_a_message_outlasts_another_one(
    store: RedisStore, server: redis.Redis
) -> None:
    _, second, third = (queue(store, task=task, limit=3) for task in ("a", "b", "c"))

    store.release(adopt(store, task="a", limit=3))
    store.free("k", third)
    assert seconds(server) > DAY

    store.free("k", second)
    assert seconds(server) <= GRACE


def test_an_undone_claim_is_refused_though_the_key_is_given_back_meanwhile(
    store: RedisStore, server: redis.Redis
) -> None:
    late = RedisStore(store.url, deadline=400)
    try:
        queue(store)
        late.undo(Claim("k", "b#n#1#z", ttl=5))
        store.release(adopt(store))
        assert 390 + GRACE < seconds(server) <= 400 + GRACE
    finally:
        late.close()
