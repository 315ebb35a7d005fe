"""Beats that publish a task whose lease is taken as it is published."""

from __future__ import annotations

from typing import Any

import pytest

from celery_lock import Lock, Scope, fail, skip
from celery_lock.app.locks import locks_of
from celery_lock.engine.locker import Locker
from celery_lock.model import Held, Holder
from celery_lock.stores.memory import MemoryStore
from tests.unit.beat_world import Beat, World, every
from tests.unit.engine import locked

pytestmark = pytest.mark.unit


def body() -> None: ...


class Schedule:
    """A world whose entry is a task that its publisher takes a lease for."""

    def __init__(self, scope: Scope = Scope.UNTIL_FINISHED, **options: Any) -> None:
        self.world = World(every(10))
        self.store = MemoryStore(self.world.memory)
        self.lock = Lock("nightly", scope=scope, **options)
        self.name = scope.name_of("nightly")

    def beat(self, name: str) -> Beat:
        beat = self.world.beat(name)
        app = beat.scheduler.app
        locker = Locker(MemoryStore(self.world.memory), clock=self.world.clock, threads=False)
        locks_of(app).swap(locker)
        locked(app, self.lock, name="t:e")(body)
        return beat

    @property
    def held(self) -> Held | None:
        return self.store.peek(self.name)

    def done(self) -> None:
        """A worker has run the message."""
        assert self.held is not None
        assert self.store.free(self.name, self.held.holder) is not None


@pytest.mark.parametrize("scope", [each for each in Scope if each.is_publishers])
@pytest.mark.parametrize("policy", [None, skip(), fail()])
def test_a_tick_that_finds_the_last_one_queued_is_not_sent_and_counts(
    scope: Scope, policy: Any
) -> None:
    play = Schedule(scope, on_conflict=policy)
    for name in "ab":
        play.beat(name)

    play.world.run(45)
    first = list(play.world.sent)
    play.done()
    play.world.run(10)

    assert len(first) == 1
    assert len(play.world.sent) == 2
    assert play.world.failed == []
    assert all(beat.died is None for beat in play.world.beats)


def test_the_lease_is_left_to_the_message_that_was_sent() -> None:
    play = Schedule()
    play.beat("a")

    play.world.run(15)

    (sent,) = play.world.sent
    header = sent.headers["celery_lock"]
    assert play.held is not None
    assert play.held.holder == str(Holder.for_retry(sent.task_id, 0))
    assert (header["id"], header["had"]) == (sent.task_id, True)
    assert header["lease"]["names"] == ["nightly"]


def test_every_beat_gives_the_message_of_a_tick_the_same_id_and_name() -> None:
    names = set()
    for name in "ab":
        play = Schedule()
        play.beat(name)
        play.world.run(15)
        (sent,) = play.world.sent
        names.add((sent.task_id, sent.headers["celery_lock"]["publication"]))

    assert len(names) == 1


@pytest.mark.parametrize("point", ["publishing", "published"])
def test_a_tick_whose_beat_dies_is_published_by_another_one(point: str) -> None:
    play = Schedule()
    play.world.next[point] = play.world.die
    for name in "ab":
        play.beat(name)

    play.world.run(35)

    ids = {sent.task_id for sent in play.world.sent}
    assert len(ids) == 1
    assert any(sent.headers["celery_lock"].get("had") for sent in play.world.sent)


def test_a_tick_that_the_broker_refuses_keeps_no_key() -> None:
    play = Schedule()
    play.world.refuse = lambda beat: True
    play.beat("a")

    play.world.run(15)

    assert play.world.tried
    assert play.held is None
