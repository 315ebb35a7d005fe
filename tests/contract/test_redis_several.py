"""Several keys on Redis: one round trip, and nothing is half written whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Claim, End, Held, Lease, Met, Outcome, Refused, Release
from celery_lock.stores.redis import RedisStore
from celery_lock.stores.redis.scripts import composed
from tests.contract.conftest import OpenStore, claim_of
from tests.contract.test_redis_faults import nonce_of, url_of
from tests.services.proxy import Proxy
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.contract


@pytest.fixture
def store(redis_url: str, open_redis: OpenStore) -> RedisStore:
    return open_redis(redis_url)


@pytest.fixture
def client(redis_server: RedisServer, store: RedisStore) -> Iterator[redis.Redis]:
    with redis_server.client(decode_responses=True) as client:
        yield client


@pytest.fixture
def proxy(redis_server: RedisServer, redis_url: str) -> Iterator[Proxy]:
    with Proxy(redis_server.port) as proxy:
        yield proxy


def claims_of(*keys: str, **options: Any) -> list[Claim]:
    holder = claim_of().holder
    return [claim_of(key, holder=holder, **options) for key in keys]


def leases_of(store: RedisStore, claims: list[Claim]) -> list[Lease]:
    answer = store.acquire_all(claims)
    assert isinstance(answer, list), answer
    return answer


def kept(client: redis.Redis) -> dict[str, Any]:
    """All that the server has of locks."""
    return {
        name: client.hgetall(name) if client.type(name) == "hash" else client.lrange(name, 0, -1)
        for name in client.keys("celery-lock:*")
    }


def calls_of(client: redis.Redis) -> int:
    stats: Any = client.info("commandstats")
    return sum(
        stats[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats
    )


# -- one step --------------------------------------------------------------------------------


def test_all_keys_are_one_script(store: RedisStore, client: redis.Redis) -> None:
    leases_of(store, claims_of("warm", "up"))
    before = calls_of(client)

    leases_of(store, claims_of("a", "b", "c"))

    assert calls_of(client) == before + 1


def test_a_refused_claim_leaves_nothing_on_the_server(
    store: RedisStore, client: redis.Redis
) -> None:
    store.acquire(claim_of("b"))
    before = kept(client)

    for options in ({}, {"at_least": 60.0}, {"limit": 3}, {"unconfirmed": True}):
        refused = store.acquire_all(claims_of("a", "b", "c", **options))
        assert isinstance(refused, Refused)

    assert kept(client) == before


def test_a_waiting_claim_is_mentioned_where_it_waits_alone(
    store: RedisStore, client: redis.Redis
) -> None:
    store.acquire(claim_of("b"))
    store.acquire(claim_of("c"))

    store.acquire_all(claims_of("a", "b", "c", watching=True))

    watched = [name for name, fields in kept(client).items() if "w" in fields]
    assert watched == ["celery-lock:2:{b}"]


def test_a_key_is_as_it_would_be_if_it_were_claimed_alone(
    store: RedisStore, client: redis.Redis
) -> None:
    options: dict[str, Any] = {"publication": "p", "ttl": 30.0}
    store.acquire(claim_of("alone", **options))

    leases_of(store, claims_of("one", "other", **options))

    fields = {name: set(value) for name, value in kept(client).items()}
    assert fields["celery-lock:2:{one}"] == fields["celery-lock:2:{alone}"]
    assert all(0 < client.pttl(name) <= 90_000 for name in fields)


def test_each_claim_of_several_has_its_own_terms(store: RedisStore) -> None:
    """Each that differs in one term stands between two that do not."""
    usual = claim_of("k")
    terms: list[dict[str, Any]] = [
        {"ttl": 90.0},
        {"limit": 2},
        {"at_least": 60.0},
        {"publication": "p"},
        {"unconfirmed": True},
        {"copy_since": "", "publication": "q"},
    ]
    claims = [replace(usual, key="usual")]
    for number, each in enumerate(terms):
        claims += [replace(usual, key=f"k{number}", **each), replace(usual, key=f"u{number}")]

    leases = leases_of(store, claims)

    keys = [claim.key for claim in claims]
    seen = {key: held for key in keys if (held := store.peek(key)) is not None}
    assert {key: round(one.expires_in / 30) for key, one in seen.items()} == {
        **dict.fromkeys(keys, 1),
        "k0": 3,
        "k2": 2,
    }
    assert {key: one.publication for key, one in seen.items() if one.publication} == {
        "k3": "p",
        "k5": "q",
    }
    assert [key for key, one in seen.items() if one.holders[0].unconfirmed] == ["k4"]
    granted = [key for key in keys if isinstance(store.acquire(claim_of(key, limit=2)), Lease)]
    assert granted == ["k1"]
    store.release_all([(lease, None) for lease in leases])
    assert [key for key in keys if store.peek(key) is not None] == ["k1", "k2"]


def test_permits_and_their_wakes_go_with_several_keys(
    store: RedisStore, client: redis.Redis
) -> None:
    first = [leases_of(store, claims_of("a", "b", limit=2)) for _ in range(2)]
    waiting = claims_of("a", "b", limit=2, watching=True)
    assert isinstance(store.acquire_all(waiting), Refused)

    store.release_all([(lease, None) for lease in first[0]])

    assert client.llen("celery-lock:2:{a}:w") == 1
    assert [lease.slot for lease in leases_of(store, waiting)] == [0, 0]


# -- failures --------------------------------------------------------------------------------


def test_claims_whose_reply_is_lost_are_asked_again_and_get_their_tokens(
    proxy: Proxy, redis_url: str, open_redis: OpenStore
) -> None:
    store, witness = open_redis(url_of(proxy)), open_redis(redis_url)
    store.peek("warm up")
    claims = claims_of("a", "b")
    proxy.lose_reply(nonce_of(claims[0].holder))

    leases = leases_of(store, claims)

    proxy.wait_lost()
    assert [one.token for one in leases_of(witness, claims)] == [one.token for one in leases]


def test_releases_whose_replies_are_lost_say_yes(proxy: Proxy, open_redis: OpenStore) -> None:
    store = open_redis(url_of(proxy))
    leases = leases_of(store, claims_of("a", "b"))
    proxy.lose_reply(nonce_of(leases[0].holder))

    answers = store.release_all([(lease, None) for lease in leases])

    proxy.wait_lost()
    assert answers == [Release(True, False)] * 2


def test_a_server_that_is_gone_is_an_error_in_each_place(open_redis: OpenStore) -> None:
    store = open_redis("redis://127.0.0.1:1/0")
    lost = [(Lease(key, "h#n#1#x", 1), None) for key in "ab"]

    answers = store.release_all(lost)

    assert [type(answer) for answer in answers] == [StoreUnavailable] * 2
    with pytest.raises(StoreUnavailable):
        store.acquire_all(claims_of("a", "b"))


def test_scripts_that_the_server_forgot_are_sent_again(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url)
    leases_of(store, claims_of("a", "b"))
    with fresh_redis.client() as client:
        client.script_flush()

    leases = leases_of(store, claims_of("c", "d"))

    with fresh_redis.client() as client:
        client.script_flush()
    assert store.release_all([(one, None) for one in leases]) == [Release(True, False)] * 2


def test_a_full_server_gives_none_of_them_and_takes_all_back(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url)
    held = claims_of("a", "b")
    leases = leases_of(store, held)
    with fresh_redis.client() as client:
        client.config_set("maxmemory", "1mb")

    with pytest.raises(StoreUnavailable, match="its memory is full"):
        store.acquire_all(claims_of("c", "d"))

    assert [store.peek("c"), store.peek("d")] == [None, None]
    assert [one.token for one in leases_of(store, held)] == [one.token for one in leases]
    assert (
        store.release_all([(one, End(floor=60.0)) for one in leases]) == [Release(True, False)] * 2
    )
    assert isinstance(seen := store.peek("a"), Held)
    assert not seen.live


def test_something_else_under_the_name_of_one_key_leaves_the_others_free(
    store: RedisStore, client: redis.Redis
) -> None:
    client.set("celery-lock:2:{b}", "x")
    (lease,) = leases_of(store, claims_of("d"))

    with pytest.raises(StoreError, match="something else under the name of a lock"):
        store.acquire_all(claims_of("a", "b", "c"))

    assert [store.peek(key) for key in "ac"] == [None, None]
    answers = store.release_all([(Lease("b", "h#n#1#x", 1), None), (lease, None)])
    assert isinstance(answers[0], StoreError)
    assert answers[1] == Release(True, False)


def test_a_state_that_is_not_known_is_an_error_and_no_conflict(
    store: RedisStore, client: redis.Redis
) -> None:
    """No policy is asked then: to skip for the sake of what nobody understands loses a task."""
    store.acquire(claim_of("b"))
    client.hset("celery-lock:2:{b}", mapping={"s": "z9", "x": 1})

    with pytest.raises(StoreError, match="a newer release"):
        store.acquire_all(claims_of("a", "b"))

    assert store.peek("a") is None


@pytest.mark.parametrize("at", [(4, "ttl"), (5, "at_least"), (9, "grace")], ids=lambda at: at[1])
@pytest.mark.parametrize("value", [10**16, "nan", "soon"])
def test_a_time_that_cannot_be_kept_leaves_all_keys_as_they_were(
    client: redis.Redis, at: tuple[int, str], value: Any
) -> None:
    usual = ["a", "n", 1, "x", 5, 5, "p", 1, 0, 60, 2]
    wrong = [*usual[: at[0]], value, *usual[at[0] + 1 :]]

    with pytest.raises(redis.ResponseError, match=r"nothing was written|arithmetic"):
        client.eval(composed("acquire_all"), 2, "j", "k", 1, 11, *usual, 1, 11, *wrong)  # type: ignore[no-untyped-call]

    assert client.keys("*") == []


def test_a_lease_of_several_is_one_as_any(store: RedisStore, client: redis.Redis) -> None:
    first, second = leases_of(store, claims_of("a", "b", at_least=60.0))

    assert store.renew([(first, 60), (second, 60)]) == [Outcome.RENEWED] * 2
    assert store.free("a", first.holder, floor=True) is not None
    assert isinstance(held := store.acquire(claim_of("b")), Held)
    assert (held.met, held.holder) == (Met.OTHER, second.holder)
