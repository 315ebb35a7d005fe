"""Random plays on every store: one holder at a time, tokens that grow, strangers that free nothing.

On Redis with leases of milliseconds, states that are forgotten after a few more, connections
that die and a server that is emptied in between; in memory with a clock that jumps. And the Lua
of the one against the Python of the other, step by step, on the same injected time.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from celery_lock.model import Change, Claim, Held, Lease
from celery_lock.stores.memory import MemoryStore
from celery_lock.stores.redis import RedisStore
from celery_lock.stores.redis import records as redis_records
from celery_lock.stores.redis import store as redis_verbs
from celery_lock.stores.redis.link.script import Script
from celery_lock.stores.space import ManualClock, Space
from tests.house import PACKAGE
from tests.property.store_machine import KEYS, PICK, TASKS, StoreMachine
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.property


def play(machine: Any, *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# -- in memory -------------------------------------------------------------------------------


class OnMemory(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(1000.0)
        self.holders_clock = 0.0
        self.back = 0
        self.store = MemoryStore(Space(self.clock, grace=1e6))

    def now(self) -> float:
        return self.holders_clock

    def elapse(self, seconds: float) -> None:
        self.holders_clock += seconds
        self.clock.move(seconds)

    @precondition(lambda self: self.back < 50)
    @rule(seconds=st.integers(1, 10))
    def set_back_the_stores_clock(self, seconds: int) -> None:
        """By less than the grace in all: beyond it, a token that is forgotten may come again."""
        self.back += seconds
        self.clock.move(-seconds)

    def teardown(self) -> None:
        self.elapse(self.back)
        super().teardown()


class OnForgetfulMemory(StoreMachine):
    forgets = True

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(1000.0)
        self.store = MemoryStore(Space(self.clock, grace=2.0))

    def now(self) -> float:
        return self.clock()

    def elapse(self, seconds: float) -> None:
        self.clock.move(seconds)


def test_random_plays_in_memory() -> None:
    play(OnMemory, examples=80, steps=50)


def test_random_plays_in_a_memory_that_forgets() -> None:
    play(OnForgetfulMemory, examples=50, steps=50)


# -- on Redis, in real time ------------------------------------------------------------------


class Forgetful(RedisStore):
    GRACE = 0.003


class OnRedis(StoreMachine):
    unit = 0.001
    forgets = True

    def __init__(self, url: str) -> None:
        super().__init__()
        self.number = time.monotonic_ns() % 1_000_000_000  # holders of one play are its own
        self.store = Forgetful(url, prefix=f"play:{self.number}:", deadline=10.0)
        self.witness = RedisStore(url, deadline=10.0)

    def now(self) -> float:
        return time.monotonic()

    def elapse(self, seconds: float) -> None:
        time.sleep(seconds)

    def say(self, *parts: str | int) -> Any:
        return self.witness._server.say(*parts)

    @rule()
    def empty_the_server(self) -> None:
        self.say("FLUSHALL")
        self._all_is_lost()

    @rule(key=KEYS)
    def evict_a_key(self, key: str) -> None:
        self.say("DEL", self.store._state(key))
        self._all_is_lost(key)

    @rule()
    def forget_the_scripts(self) -> None:
        self.say("SCRIPT", "FLUSH")

    @rule()
    def kill_the_connections(self) -> None:
        self.say("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def teardown(self) -> None:
        super().teardown()
        self.witness.close()


def test_random_plays_on_redis(redis_url: str) -> None:
    play(lambda: OnRedis(redis_url), examples=30, steps=40)


# -- the Lua against the Python --------------------------------------------------------------

FROM_THE_CLOCK = "local time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2]\n"
FROM_A_KEY = "local now = tonumber(redis.call('GET', 'now'))\n"


class Agreement(RuleBasedStateMachine):
    """Both stores are told the same at the same time, and have to answer the same."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.clock = ManualClock(1_000_000.0)
        self.redis = RedisStore(server.url, deadline=10.0)
        self.redis._grace = 10**12
        self.memory = MemoryStore(Space(self.clock, epoch=0.0, grace=1e6))
        self.redis._server.say("FLUSHALL")
        self.claims: list[Claim] = []
        self.leases: list[Lease] = []
        self._tell_the_time()

    def _tell_the_time(self) -> None:
        self.redis._server.say("SET", "now", round(self.clock() * 1e6))

    @rule(seconds=st.sampled_from([0.000001, 0.5, 3.0, 10.0, 31.0, -0.5, -20.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.move(seconds)
        self._tell_the_time()

    @rule(
        key=KEYS,
        task=TASKS,
        nonce=st.integers(0, 3),
        ttl=st.sampled_from([1.0, 5.0, 30.0]),
        at_least=st.sampled_from([0.0, 0.0, 2.0, 40.0]),
        watching=st.booleans(),
    )
    def claim(
        self, key: str, task: str, nonce: int, ttl: float, at_least: float, watching: bool
    ) -> None:
        claim = Claim(key, f"{task}#n#1#{nonce}", ttl, at_least, f"p{nonce}", watching)
        self.claims.append(claim)
        ours, theirs = self.memory.acquire(claim), self.redis.acquire(claim)
        if isinstance(ours, Lease):
            assert isinstance(theirs, Lease), theirs
            assert (ours.key, ours.holder, ours.token) == (theirs.key, theirs.holder, theirs.token)
            self.leases.append(ours)
        else:
            self._same(ours, theirs)

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, other=st.integers(-1, 1))
    def release(self, pick: int, other: int) -> None:
        lease = self.leases[pick % len(self.leases)]
        lease = Lease(lease.key, lease.holder, lease.token + other * (pick % 3 == 0))
        assert self.memory.release(lease) == self.redis.release(lease)

    @precondition(lambda self: self.leases)
    @rule(picks=st.lists(PICK, min_size=1, max_size=5), ttl=st.sampled_from([1.0, 10.0, 60.0]))
    def renew(self, picks: list[int], ttl: float) -> None:
        renewals = [(self.leases[pick % len(self.leases)], ttl) for pick in picks]
        assert self.memory.renew(renewals) == self.redis.renew(renewals)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def undo(self, pick: int) -> None:
        claim = self.claims[pick % len(self.claims)]
        self.memory.undo(claim)
        self.redis.undo(claim)

    @rule(key=KEYS)
    def look(self, key: str) -> None:
        self._same(self.memory.peek(key), self.redis.peek(key))

    def _same(self, ours: Held | None, theirs: object) -> None:
        if ours is None:
            assert theirs is None
            return
        assert isinstance(theirs, Held), theirs
        assert (ours.key, ours.holder, ours.live) == (theirs.key, theirs.holder, theirs.live)
        assert ours.publication == theirs.publication
        for name in ("since", "now", "expires_in"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=1e-6), name

    def teardown(self) -> None:
        self.redis.close()


def test_the_scripts_and_the_memory_store_agree(
    redis_server: RedisServer, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("acquire", "release", "renew", "undo", "peek"):
        monkeypatch.setattr(redis_verbs, name.upper(), timed(name))

    play(lambda: Agreement(redis_server), examples=50, steps=60)


def timed(name: str) -> Script:
    """A script that reads the time from a key."""
    text = (PACKAGE / "stores" / "redis" / "lua" / f"{name}.lua").read_text()
    assert FROM_THE_CLOCK in text
    return Script(name, text.replace(FROM_THE_CLOCK, FROM_A_KEY))


ENTRIES = st.sampled_from(["nightly", "hourly", ""])
STAMPS = st.sampled_from(["one", "two", "three"])


class RecordAgreement(RuleBasedStateMachine):
    """Both stores are told of the same records at the same time, and have to answer the same."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.clock = ManualClock(1_000_000.0)
        self.redis = RedisStore(server.url, deadline=10.0)
        self.memory = MemoryStore(Space(self.clock, epoch=0.0))
        self.redis._server.say("FLUSHALL")
        self._tell_the_time()

    def _tell_the_time(self) -> None:
        self.redis._server.say("SET", "now", round(self.clock() * 1e6))

    @rule(seconds=st.sampled_from([0.000001, 0.5, 30.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        """Never back: what has ended is forgotten by one of them sooner than by the other."""
        self.clock.move(seconds)
        self._tell_the_time()

    @rule(
        name=ENTRIES,
        expected=st.none() | STAMPS,
        stamp=STAMPS,
        value=st.sampled_from(["x", "y"]),
        keep=st.sampled_from([60.0, 120.0, 300.0]),  # no play lasts so long by the server's clock
        early=st.sampled_from([-1000.0, 0.0, 0.000001, 1.0]),
        informed=st.booleans(),
    )
    def change(
        self,
        name: str,
        expected: str | None,
        stamp: str,
        value: str,
        keep: float,
        early: float,
        informed: bool,
    ) -> None:
        [standing], now = self.memory.records("s", [name])
        if informed:
            expected = None if standing is None else standing.stamp
        change = Change("s", name, expected, stamp, value, keep, now + early)

        assert self.memory.change(change) == self.redis.change(change)

    @rule(names=st.lists(ENTRIES, max_size=3))
    def look(self, names: list[str]) -> None:
        assert self.memory.records("s", names) == self.redis.records("s", names)
        assert self.memory.names("s") == self.redis.names("s")

    def teardown(self) -> None:
        self.look(["nightly", "hourly", ""])
        self.redis.close()


def test_the_scripts_and_the_memory_store_agree_on_records(
    redis_server: RedisServer, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("change", "records", "names"):
        monkeypatch.setattr(redis_records, name.upper(), timed(name))

    play(lambda: RecordAgreement(redis_server), examples=50, steps=60)
