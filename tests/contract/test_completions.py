"""Records of runs that have ended, in time that the test moves: the Lua and the pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from celery_lock.model import (
    ENDED_FOR,
    MET_FOR,
    Claim,
    Completion,
    End,
    Held,
    Lease,
    LockStore,
    Met,
)
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.stores.redis import RedisStore
from tests.property.test_store_machine import time_scripts

pytestmark = pytest.mark.contract


class World:
    """A store, and its time."""

    def __init__(self, store: LockStore, move: Callable[[float], object]) -> None:
        self.store = store
        self.move = move
        self.number = 0

    def claim(
        self, publication: str = "p1", since: str | None = "", key: str = "k", ttl: float = 30.0
    ) -> Claim:
        self.number += 1
        holder = f"{publication}-{self.number}#n#1#{self.number}"
        return Claim(key, holder, ttl, publication=publication, copy_since=since)

    def run(self, publication: str = "p1", *, remember: float = 100.0, if_met: bool = False) -> End:
        """Let a message run and end."""
        lease = self.granted(self.claim(publication, None))
        end = End(publication=publication, remember=remember, if_met=if_met)
        self.store.release(lease, end)
        return end

    def tell(self, publication: str = "p1", remember: float = 100.0) -> None:
        self.store.complete([Completion("k", publication, remember)])

    def granted(self, claim: Claim) -> Lease:
        got = self.store.acquire(claim)
        assert isinstance(got, Lease), got
        return got

    def refused(self, claim: Claim) -> Held:
        got = self.store.acquire(claim)
        assert isinstance(got, Held), got
        return got

    def met(self, claim: Claim) -> Met | None:
        got = self.store.acquire(claim)
        return got.met if isinstance(got, Held) else None


@pytest.fixture(params=["memory", "redis"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    clock = ManualClock(1_000_000.0)
    if request.param == "memory":
        yield World(MemoryStore(MemoryServer(clock, epoch=0.0), grace=1e6), clock.move)
        return
    time_scripts(monkeypatch)
    store = RedisStore(request.getfixturevalue("redis_url"))
    store._server.say("FLUSHALL")

    def move(seconds: float) -> None:
        clock.move(seconds)
        store._server.say("SET", "now", round(clock() * 1e6))

    move(0)
    yield World(store, move)
    store.close()


def test_a_copy_of_what_has_ended_waits_and_then_runs(world: World) -> None:
    world.run()

    held = world.refused(world.claim())
    world.move(ENDED_FOR - 0.5)
    later = world.refused(world.claim())
    world.move(0.5)

    assert (held.met, held.expires_in) == (Met.ENDED, ENDED_FOR)
    assert (later.met, later.expires_in) == (Met.ENDED, 0.5)
    assert world.met(world.claim()) is None


def test_what_is_told_later_than_that_is_a_completion_all_the_same(world: World) -> None:
    world.run()
    world.move(ENDED_FOR + 5)

    world.tell()

    assert world.met(world.claim()) is Met.DONE


def test_an_end_after_a_message_was_first_seen_is_its_own_and_one_before_is_not(
    world: World,
) -> None:
    world.run("p1")
    world.move(1)
    other = world.granted(world.claim("other"))
    seen = world.refused(world.claim("p1", None)).mark
    world.store.release(other)

    assert world.met(world.claim("p1", "")) is Met.ENDED
    assert world.met(replace(world.claim("p1", seen), key="k")) is None


def test_a_second_message_of_one_name_ends_beside_the_completion_of_the_first(
    world: World,
) -> None:
    """Both are told apart by when they were first seen."""
    world.run("p1")
    world.tell("p1")
    world.move(1)
    other = world.granted(world.claim("other"))
    seen = world.refused(world.claim("p1", None)).mark
    world.store.release(other)
    world.move(1)

    world.run("p1")

    assert world.met(world.claim("p1", seen)) is Met.ENDED
    assert world.met(world.claim("p1", "")) is Met.DONE
    world.tell("p1")
    assert world.met(world.claim("p1", seen)) is Met.DONE


def test_a_record_lives_a_day_where_a_copy_was_met(world: World) -> None:
    lease = world.granted(world.claim("p1", None, ttl=300.0))
    assert world.met(world.claim()) is Met.PUBLICATION
    world.move(200)
    world.store.release(lease, End(publication="p1", remember=100.0, if_met=True))
    world.tell()

    life(world, MET_FOR)


def test_a_record_lives_a_day_where_a_copy_came_before_the_end_was_told(world: World) -> None:
    """That copy is sent again, and may lie behind a long backlog."""
    world.run()
    assert world.met(world.claim()) is Met.ENDED
    world.tell()

    life(world, MET_FOR)
    assert world.met(world.claim()) is Met.DONE


def test_a_record_lives_as_long_as_it_was_asked_for_where_none_was(world: World) -> None:
    world.run(remember=4560.0)
    life(world, 4560.0)

    world.tell(remember=5000.0)
    life(world, 5000.0)


def test_a_record_is_not_cut_short_by_a_later_end(world: World) -> None:
    world.run(remember=5000.0)
    world.run(remember=100.0)
    world.tell(remember=10.0)

    life(world, 5000.0)


def life(world: World, seconds: float) -> None:
    """Look how long the record of p1 lives from now on."""
    store = world.store
    if isinstance(store, MemoryStore):
        [until] = [
            entry.until for name, entry in store._server.entries.items() if "tombstone" in name
        ]
        left = until / 1e6 - store._server.clock()
    else:
        assert isinstance(store, RedisStore)
        left = store._server.say("PTTL", store._state("k") + ":d:p1") / 1000  # type: ignore[operator]
    assert seconds - 60 < left <= seconds


def test_what_a_server_holds_of_the_release_before_counts(redis_url: str) -> None:
    """Where no result was due it was told at once; else nobody knows what followed."""
    store = RedisStore(redis_url)
    store._server.say("FLUSHALL")
    world = World(store, lambda seconds: None)
    [seconds, _] = store._server.say("TIME")  # type: ignore[misc]
    for name, due in (("p1", 0), ("p2", 1)):
        record = store._state("k") + f":d:{name}"
        store._server.say("HSET", record, "c", int(seconds) * 10**6, "d", due)

    assert [world.met(world.claim(name)) for name in ("p1", "p2")] == [Met.DONE, Met.ENDED]
    world.tell("p2")
    assert world.met(world.claim("p2")) is Met.DONE
    store.close()
