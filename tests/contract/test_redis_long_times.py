"""A script that cannot keep a time writes nothing, whoever calls it with one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from celery_lock.model import Change, Claim, Completion, End, Lease
from celery_lock.stores.redis import RedisStore
from celery_lock.stores.redis.scripts import composed

pytestmark = pytest.mark.contract

TOO_LONG = [sys.maxsize, 10**16, 5 * 10**15, "1e300", "inf", "nan", "-inf", -(10**18), "", "soon"]

NEW, HELD, RECORD, INDEX = "new", "held", "record", "index"

TTL, GRACE = 5_000_000, 60_000_000
"""Microseconds. Times so short that a state could end within its script would try that instead."""

# the script, its keys, its arguments, and which of them is a time
CALLS: dict[str, tuple[str, list[str], list[Any], int]] = {
    "ttl": ("acquire", [NEW], ["a", "n", 1, "x", TTL, "p", GRACE, 2], 4),
    "at_least": ("acquire", [NEW], ["a", "n", 1, "x", TTL, "p", GRACE, 2, "", TTL, 1, 0], 9),
    "grace": ("acquire", [NEW], ["a", "n", 1, "x", TTL, "p", GRACE, 2], 6),
    "settle": ("acquire", [NEW], ["a", "n", 1, "x", TTL, "p", GRACE, 2], 7),
    "mention": ("acquire", [HELD], ["a", "n", 1, "x", TTL, "p", GRACE, 2, "", 0, 1, 9], 11),
    "ttl of a permit": ("acquire", [NEW], ["a", "n", 1, "x", TTL, "p", GRACE, 2, "", 0, 3, 0], 4),
    "renewal": ("renew", [HELD], [GRACE, "h", "x", "TOKEN", 0, TTL], 5),
    "second renewal": (
        "renew",
        [HELD, HELD],
        [GRACE, "h", "x", "TOKEN", 0, TTL, "h", "x", "TOKEN", 0, TTL],
        10,
    ),
    "record of the end": (
        "release",
        [HELD, "wakes", NEW],
        ["h", "x", "TOKEN", 0, GRACE, TTL, 0],
        5,
    ),
    "heir": ("release", [HELD, "wakes"], ["h", "x", "TOKEN", 0, GRACE, 0, 0, "q1", TTL], 8),
    "undo": ("undo", [NEW, "wakes"], ["a", "n", 1, "x", GRACE, 2], 5),
    "grace of an undo": ("undo", [NEW, "wakes"], ["a", "n", 1, "x", GRACE, 2], 4),
    "free": ("free", [HELD, "wakes"], ["h", "n", 1, "x", "", 0, GRACE, 0], 6),
    "completion": ("complete", [NEW], [TTL], 0),
    "second completion": ("complete", [NEW, RECORD], [TTL, TTL], 1),
    "change": ("change", [NEW, INDEX], ["name", "stamp", "value", TTL, 0], 3),
}


@pytest.fixture(params=["redis_url", "redis_62_url", "valkey_url"])
def server(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(request.getfixturevalue(request.param)) as client:
        yield client


def seen(server: redis.Redis) -> dict[Any, Any]:
    keys = [key for key in server.keys("*") if server.type(key) == b"hash"]
    return {"keys": set(server.keys("*")), **{key: server.hgetall(key) for key in keys}}


def with_a_holder(server: redis.Redis, args: list[Any]) -> list[Any]:
    grant = ["h", "n", 1, "x", GRACE, "p", GRACE, 2]
    token = server.eval(composed("acquire"), 1, HELD, *grant)
    return [token if each == "TOKEN" else each for each in args]


@pytest.mark.parametrize("call", CALLS)
def test_a_time_that_cannot_be_kept_leaves_all_as_it_was(server: redis.Redis, call: str) -> None:
    script, keys, args, at = CALLS[call]
    args = with_a_holder(server, args)
    before = seen(server)

    for value in TOO_LONG:
        given = [*args[:at], value, *args[at + 1 :]]
        with pytest.raises(redis.ResponseError, match=r"nothing was written|arithmetic"):
            server.eval(composed(script), len(keys), *keys, *given)

        assert seen(server) == before, value

    server.eval(composed(script), len(keys), *keys, *args)
    assert all(server.pttl(key) != -1 for key in server.keys("*"))


@pytest.mark.parametrize("seconds", [sys.maxsize, 10**400, 1e300, float("inf"), float("nan"), -1])
def test_a_time_that_is_given_to_the_store_itself_is_refused_before_it_is_sent(
    server: redis.Redis, redis_url: str, seconds: Any
) -> None:
    store = RedisStore(redis_url)
    lease = store.acquire(Claim("k", "a#n#1#x", ttl=5))
    assert isinstance(lease, Lease)

    for wrong in (
        lambda: store.acquire(Claim("j", "a#n#1#x", ttl=seconds)),
        lambda: store.acquire(Claim("j", "a#n#1#x", ttl=5, at_least=seconds)),
        lambda: store.renew([(lease, seconds)]),
        lambda: store.release(lease, End("p", remember=seconds)),
        lambda: store.release(lease, End(heir="a#queued#1", heir_ttl=seconds)),
        lambda: store.complete([Completion("k", "p", seconds)]),
        lambda: store.change(Change("space", "name", None, "s", "v", ttl=seconds)),
    ):
        with pytest.raises(ValueError, match="a store keeps 0 to"):
            wrong()

    assert store.peek("j") is None
    store.close()
