"""What records leave on a Redis server: names in one place, an expiry each, an index in step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis
from redis.crc import key_slot

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Change, Lease
from celery_lock.stores.redis import RedisStore
from tests.contract.conftest import OpenStore, claim_of
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.contract

INDEX = "celery-lock:2:r:{beat:shop}"
NIGHTLY = INDEX + ":nightly"


@pytest.fixture
def store(redis_url: str, open_redis: OpenStore) -> RedisStore:
    return open_redis(redis_url)


@pytest.fixture
def client(redis_server: RedisServer, store: RedisStore) -> Iterator[redis.Redis]:
    with redis_server.client(decode_responses=True) as client:
        yield client


def change_of(name: str = "nightly", ttl: float = 30.0, **options: str) -> Change:
    """The wish to write a new record."""
    return Change("beat:shop", name, None, "first", "x", ttl, **options)  # type: ignore[arg-type]


def after(change: Change, stamp: str) -> Change:
    """The next change of the same record."""
    return replace(change, expected=change.stamp, stamp=stamp)


def test_all_names_of_a_space_are_in_one_slot(store: RedisStore, client: redis.Redis) -> None:
    for name in ("nightly", "a{b}c", "}{", ""):
        assert store.change(change_of(name)).done

    names = client.keys()

    assert set(names) == {INDEX, *(f"{INDEX}:{name}" for name in ("nightly", "a{b}c", "}{", ""))}
    assert {key_slot(name.encode()) for name in names} == {key_slot(b"beat:shop")}


def test_the_braces_of_a_space_do_not_cut_its_hash_tag(
    store: RedisStore, client: redis.Redis
) -> None:
    for name in ("nightly", "a{b}c"):
        store.change(replace(change_of(name), space="a}{%b"))

    assert {key_slot(name.encode()) for name in client.scan_iter()} == {key_slot(b"a%7D%7B%25b")}


def test_no_step_leaves_a_key_without_an_expiry(store: RedisStore, client: redis.Redis) -> None:
    never = -1
    steps: list[dict[str, int]] = []
    first = change_of()
    for change in (
        first,
        first,  # asked again
        after(first, "second"),
        change_of(),  # refused
        replace(change_of("another"), not_before=1e11),  # refused
        replace(after(first, "third"), expected="second", ttl=0.0),
        change_of(ttl=0.0),
        replace(first, ttl=1e-6),
        change_of("another"),
    ):
        store.change(change)
        steps.append({key: client.pttl(key) for key in client.scan_iter()})

    assert never not in {ttl for step in steps for ttl in step.values()}
    assert max(ttl for step in steps for ttl in step.values()) <= 30_000
    assert [set(step) for step in steps[:5]] == [{INDEX, NIGHTLY}] * 5
    assert all(step.keys() <= {INDEX, NIGHTLY} for step in steps[:-1])


def test_the_index_lives_as_long_as_the_last_of_its_records(
    store: RedisStore, client: redis.Redis
) -> None:
    store.change(change_of(ttl=300.0))
    store.change(change_of("brief", ttl=5.0))

    assert 0 < client.pttl(INDEX + ":brief") <= 5_000
    assert 290_000 < client.pttl(INDEX) <= 300_000


def test_a_change_forgets_the_names_of_what_has_ended(
    store: RedisStore, client: redis.Redis
) -> None:
    for n in range(5):
        store.change(change_of(f"brief {n}", ttl=0.02))
    store.change(change_of("lasting"))
    time.sleep(0.05)

    store.change(change_of())

    assert client.zrange(INDEX, 0, -1) == ["lasting", "nightly"]


def test_a_lock_on_a_key_of_the_same_name_is_another_thing(
    store: RedisStore, client: redis.Redis
) -> None:
    for key in ("beat:shop", "r:{beat:shop}", "r:{beat:shop}:nightly", "r:beat:shop"):
        assert isinstance(store.acquire(claim_of(key)), Lease)

    assert client.exists(INDEX, NIGHTLY) == 0
    assert store.change(change_of()).done
    assert store.names("beat:shop") == ["nightly"]


def test_each_call_is_one_request(store: RedisStore, client: redis.Redis) -> None:
    def ask() -> None:
        store.change(change_of())
        store.records("beat:shop", [f"entry {n}" for n in range(500)])
        store.names("beat:shop")

    ask()  # from now on the server knows the scripts
    client.config_resetstat()

    ask()

    stats = client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 3
    asked = {"evalsha", "time", "hmget", "hset", "pexpire", "zadd", "zrange", "zremrangebyscore"}
    assert {name.removeprefix("cmdstat_") for name in stats} <= asked | {"config|resetstat", "info"}


def test_a_refused_change_writes_nothing(store: RedisStore, client: redis.Redis) -> None:
    store.change(change_of())
    client.config_resetstat()

    assert not store.change(replace(change_of(), stamp="late")).done
    assert not store.change(replace(after(change_of(), "early"), not_before=1e11)).done

    writes = {"cmdstat_hset", "cmdstat_pexpire", "cmdstat_zadd", "cmdstat_zremrangebyscore"}
    assert not writes & set(client.info("commandstats"))


def test_a_full_server_changes_the_records_it_has(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url)
    store.change(change_of())
    with fresh_redis.client() as client:
        client.config_set("maxmemory", "1mb")

        with pytest.raises(StoreUnavailable, match="its memory is full"):
            store.change(change_of("new"))

        assert store.change(after(change_of(), "second")).done
        assert store.names("beat:shop") == ["nightly"]
        assert all(client.pttl(name) > 0 for name in client.scan_iter())


def test_something_else_under_the_name_of_a_record_is_said_so(
    store: RedisStore, client: redis.Redis
) -> None:
    store.change(change_of("hourly"))
    client.set(NIGHTLY, "x")

    with pytest.raises(StoreError, match="keeps something else"):
        store.change(change_of())

    # one such key must not cost the others of a batch their answer
    records, _ = store.records("beat:shop", ["nightly", "hourly"])
    assert [record and record.stamp for record in records] == [None, "first"]


def test_a_server_that_has_forgotten_the_scripts_is_told_again(
    store: RedisStore, client: redis.Redis
) -> None:
    store.change(change_of())
    client.script_flush()

    assert store.change(change_of()).done
    assert store.records("beat:shop", ["nightly"])[0] != [None]
    assert store.names("beat:shop") == ["nightly"]
