"""What a Redis store keeps of several permits of one key: wakes, marks, places."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from celery_lock.model import Held, Lease
from celery_lock.stores.redis import RedisStore
from tests.contract.conftest import OpenStore, claim_of
from tests.services import RedisServer

pytestmark = pytest.mark.contract

KEY = "api:x"
STATE = "celery-lock:2:{api:x}"
WAKES = STATE + ":w"


@pytest.fixture
def store(redis_url: str, open_redis: OpenStore) -> RedisStore:
    return open_redis(redis_url)


@pytest.fixture
def client(redis_server: RedisServer, store: RedisStore) -> Iterator[redis.Redis]:
    with redis_server.client(decode_responses=True) as client:
        yield client


def held(store: RedisStore, *, limit: int = 3, watching: bool = False) -> Lease:
    answer = store.acquire(claim_of(KEY, limit=limit, watching=watching))
    assert isinstance(answer, Lease), answer
    return answer


def somebody_watches(store: RedisStore, *, limit: int = 3) -> None:
    answer = store.acquire(claim_of(KEY, limit=limit, watching=True))
    assert isinstance(answer, Held), answer


# -- wakes -----------------------------------------------------------------------------------


def test_as_many_wakes_are_left_as_permits_are_free(store: RedisStore, client: redis.Redis) -> None:
    leases = [held(store) for _ in range(3)]
    somebody_watches(store)

    for lease in leases[:2]:
        store.release(lease)

    assert client.llen(WAKES) == 2


def test_no_wake_is_left_for_a_permit_that_was_taken_again(
    store: RedisStore, client: redis.Redis
) -> None:
    leases = [held(store) for _ in range(3)]
    somebody_watches(store)
    store.release(leases[0])
    again = held(store)

    store.release(again)

    assert client.llen(WAKES) == 1


def test_who_was_woken_and_leaves_a_permit_free_wakes_the_next(
    store: RedisStore, client: redis.Redis
) -> None:
    leases = [held(store) for _ in range(3)]
    somebody_watches(store)
    for lease in leases[:2]:
        store.release(lease)
    client.delete(WAKES)  # one wake for two permits: the other was lost

    held(store, watching=True)

    assert client.llen(WAKES) == 1


def test_who_takes_the_last_permit_wakes_nobody(store: RedisStore, client: redis.Redis) -> None:
    leases = [held(store) for _ in range(3)]
    somebody_watches(store)
    store.release(leases[0])
    client.delete(WAKES)

    held(store, watching=True)

    assert client.exists(WAKES) == 0


@pytest.mark.parametrize("end", ["free", "undo"])
def test_a_dead_and_an_undone_holder_leave_a_wake_as_well(
    store: RedisStore, client: redis.Redis, end: str
) -> None:
    claim = claim_of(KEY, limit=2)
    store.acquire(claim)
    held(store, limit=2)
    somebody_watches(store, limit=2)

    if end == "free":
        store.free(KEY, claim.holder)
    else:
        store.undo(claim)

    assert client.llen(WAKES) == 1


# -- places ----------------------------------------------------------------------------------


def test_places_that_are_long_free_are_forgotten(
    redis_url: str, open_redis: OpenStore, client: redis.Redis
) -> None:
    store = open_redis(redis_url, deadline=20.0, settles=0.05)
    for lease in [held(store, limit=5) for _ in range(5)]:
        store.release(lease)
    assert client.hget(STATE, "n") == "5"
    time.sleep(0.06)

    lease = held(store, limit=1)

    assert set(client.hkeys(STATE)) <= {*"kdpcuter"}
    assert lease.token == int(client.hget(STATE, "t") or 0)


def test_tokens_grow_over_places_that_were_forgotten(
    redis_url: str, open_redis: OpenStore, client: redis.Redis
) -> None:
    store = open_redis(redis_url, deadline=20.0, settles=0.05)
    leases = [held(store, limit=3) for _ in range(3)]
    for lease in leases:
        store.release(lease)
    client.hset(STATE, "t2", 8 * 10**15)  # the clock was far ahead as this one was given
    time.sleep(0.06)
    store.release(held(store, limit=1))

    assert held(store, limit=1).token > 8 * 10**15 + 1


def test_a_release_beyond_the_first_place_is_remembered_for_a_deadline(
    store: RedisStore,
) -> None:
    leases = [held(store, limit=3) for _ in range(3)]
    for lease in leases:
        store.release(lease)

    held(store, limit=3)  # places that have ended could be forgotten here

    assert all(store.release(lease) for lease in leases[1:])


def test_a_place_whose_lease_ran_out_is_forgotten_as_well(
    redis_url: str, open_redis: OpenStore, client: redis.Redis
) -> None:
    store = open_redis(redis_url, deadline=20.0, settles=0.05)
    held(store, limit=2)
    store.acquire(claim_of(KEY, ttl=0.02, limit=2))
    assert client.hget(STATE, "n") == "2"
    time.sleep(0.1)

    held(store, limit=2)
    assert client.hget(STATE, "n") == "2"  # it was given again


# -- marks -----------------------------------------------------------------------------------


def test_a_claim_that_was_undone_is_refused_for_one_deadline(
    redis_url: str, open_redis: OpenStore
) -> None:
    store = open_redis(redis_url, deadline=20.0)
    brief = open_redis(redis_url, deadline=20.0, settles=0.05)
    first, second = claim_of(KEY), claim_of(KEY)
    brief.undo(second)
    store.undo(first)
    time.sleep(0.06)  # the mark of the first one keeps both

    assert isinstance(store.acquire(first), Held)
    assert isinstance(store.acquire(second), Lease)


@pytest.mark.parametrize("publication", ["x" * 64, "\u00e4" * 32, "x" * 1000])
def test_a_long_publication_is_stored_as_its_digest(
    store: RedisStore, client: redis.Redis, publication: str
) -> None:
    claim = claim_of(KEY, publication=publication, limit=2)
    store.acquire(claim)

    assert len((client.hget(STATE, "u") or "").encode()) == 40
    copy = store.acquire(claim_of(KEY, publication=publication, limit=2))
    assert isinstance(copy, Held)
    assert copy.met == "publication"


@pytest.mark.parametrize("publication", ["x" * 63, "\u00e4" * 31, ""])
def test_a_short_publication_is_stored_as_it_is(
    store: RedisStore, client: redis.Redis, publication: str
) -> None:
    store.acquire(claim_of(KEY, publication=publication))

    assert client.hget(STATE, "u") == publication


def test_a_usual_key_takes_the_small_form_of_a_hash(store: RedisStore, client: redis.Redis) -> None:
    """One value of 64 bytes turns the whole hash into a table of twice the size."""
    uuid = "0b5ad5b3-1d3c-4c5e-9f5b-7f3a1c2d4e5f"
    holder = f"{uuid}#celery@worker-1.shop.example.com#12345#AbCdEfGh1f"
    for _ in range(3):
        lease = store.acquire(claim_of("user:point:100000", holder=holder, publication=uuid))
        assert isinstance(lease, Lease)
        name = "celery-lock:2:{user:point:100000}"
        assert client.object("encoding", name) in ("listpack", "ziplist")
        assert client.memory_usage(name) <= 320
        store.release(lease)
