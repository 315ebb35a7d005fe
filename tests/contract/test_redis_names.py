"""What a Redis store leaves on the server: names, lifetimes, and how often it asks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from celery_lock.errors import StoreError
from celery_lock.model import Held, Lease
from celery_lock.stores.redis import RedisStore
from tests.contract.conftest import OpenStore, claim_of
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.contract

STATE = "celery-lock:2:{order:7}"


@pytest.fixture
def store(redis_url: str, open_redis: OpenStore) -> RedisStore:
    return open_redis(redis_url)


@pytest.fixture
def client(redis_server: RedisServer, store: RedisStore) -> Iterator[redis.Redis]:
    with redis_server.client(decode_responses=True) as client:
        yield client


def held(store: RedisStore, **options: float) -> Lease:
    lease = store.acquire(claim_of("order:7", **options))
    assert isinstance(lease, Lease)
    return lease


def test_the_name_of_the_state_of_a_key_has_the_whole_key_as_its_hash_tag(
    store: RedisStore, client: redis.Redis
) -> None:
    held(store)
    store.acquire(claim_of("a{b}%7B"))

    assert set(client.keys()) == {STATE, "celery-lock:2:{a%7Bb%7D%257B}"}


def test_the_state_of_a_key_outlives_its_lease_by_the_grace(
    store: RedisStore, client: redis.Redis
) -> None:
    lease = held(store, ttl=30)
    assert 80_000 < client.pttl(STATE) <= 90_000

    store.renew([(lease, 100)])
    assert 150_000 < client.pttl(STATE) <= 160_000

    store.release(lease)
    assert 50_000 < client.pttl(STATE) <= 160_000  # longer than it need be costs no call


def test_the_state_of_a_key_outlives_its_floor_by_the_grace(
    store: RedisStore, client: redis.Redis
) -> None:
    lease = held(store, ttl=30, at_least=200)
    assert 250_000 < client.pttl(STATE) <= 260_000

    store.renew([(lease, 30)])
    assert 250_000 < client.pttl(STATE) <= 260_000

    store.release(lease)
    assert 250_000 < client.pttl(STATE) <= 260_000


def test_an_undo_cuts_no_life_that_somebody_else_needs(
    store: RedisStore, client: redis.Redis
) -> None:
    held(store, ttl=300)

    store.undo(claim_of("order:7"))

    assert 350_000 < client.pttl(STATE) <= 360_000


def test_an_undo_of_a_claim_that_never_came_leaves_nothing_for_ever(
    store: RedisStore, client: redis.Redis
) -> None:
    store.undo(claim_of("order:7"))

    assert 50_000 < client.pttl(STATE) <= 60_000


def test_the_marks_of_undone_claims_end_with_the_deadline(
    redis_url: str, open_redis: OpenStore, client: redis.Redis
) -> None:
    store = open_redis(redis_url, deadline=20.0, settles=0.05)
    for _ in range(50):
        store.undo(claim_of("order:7"))
    time.sleep(0.06)

    store.undo(claim_of("order:7"))
    assert client.hget(STATE, "z").count("\n") == 2
    time.sleep(0.06)
    held(store)

    assert client.hget(STATE, "z") is None


@pytest.mark.parametrize("state", ["z9", "q", "queued", ""])
def test_a_state_that_is_not_known_is_an_error_and_nobodys_conflict(
    store: RedisStore, client: redis.Redis, state: str
) -> None:
    held(store)
    client.hset(STATE, mapping={"s": state, "x": "1"})
    known = state == ""

    for ask in (
        lambda: store.acquire(claim_of("order:7")),
        lambda: store.acquire(claim_of("order:7", limit=5)),
        lambda: store.peek("order:7"),
    ):
        if known:
            assert isinstance(ask(), Held)
        else:
            with pytest.raises(StoreError, match=f"a key in a state {state} that this release"):
                ask()


def test_a_wake_is_left_only_for_somebody_who_waits(store: RedisStore, client: redis.Redis) -> None:
    store.release(held(store))
    assert client.exists(STATE + ":w") == 0

    for _ in range(3):
        lease = held(store)
        store.acquire(claim_of("order:7", watching=True))
        store.release(lease)

    assert client.llen(STATE + ":w") == 1
    assert 0 < client.pttl(STATE + ":w") <= 5_000


def test_no_wake_is_left_while_a_floor_keeps_the_key(
    store: RedisStore, client: redis.Redis
) -> None:
    lease = held(store, at_least=30)
    store.acquire(claim_of("order:7", watching=True))

    store.release(lease)

    assert client.exists(STATE + ":w") == 0


def test_an_acquire_and_a_release_are_two_requests(store: RedisStore, client: redis.Redis) -> None:
    store.release(held(store))  # from now on the server knows the scripts
    client.config_resetstat()

    store.release(held(store))

    stats = client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 2
    asked = {"evalsha", "time", "hmget", "hset", "hdel", "pexpire", "config|resetstat", "info"}
    assert {name.removeprefix("cmdstat_") for name in stats} <= asked


def test_a_hundred_renewals_are_one_request(store: RedisStore, client: redis.Redis) -> None:
    answers = [store.acquire(claim_of()) for _ in range(100)]
    leases = [answer for answer in answers if isinstance(answer, Lease)]
    store.renew([(lease, 30.0) for lease in leases])
    client.config_resetstat()

    outcomes = store.renew([(lease, 30.0) for lease in leases])

    assert len(outcomes) == 100
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_what_another_program_has_written_under_the_prefix_hides_no_key(
    redis_server: RedisServer, store: RedisStore
) -> None:
    held(store)
    with redis_server.client() as client:
        client.set(b"celery-lock:2:{\xff}", "x")
        client.hset(STATE, "d", b"caf\xe9")

    found = store.peek("order:7")

    assert store.keys("") == ["order:7"]
    assert found is not None
    assert "caf\\xe9" in found.holder
