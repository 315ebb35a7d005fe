"""A beat that is asked to stop, or whose schedule cannot be stored, in the middle of a tick."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery.beat import Scheduler

from celery_lock.app.locks import AppLocks
from celery_lock.beat import LockedScheduler
from tests.unit.beat_world import Beat, World, every

pytestmark = pytest.mark.unit


def two_beats(seconds: float = 30) -> World:
    world = World(every(seconds))
    world.beat("a")
    world.run(0.1)
    world.beat("b")
    world.run(1.1 * seconds)
    assert len(world.sent) == 1
    return world


def lateness(world: World) -> float:
    return max(sent.at - sent.due for sent in world.sent)


def test_a_beat_that_is_stopped_before_it_publishes_gives_the_tick_back_at_once() -> None:
    world = two_beats()
    world.next["granted"] = world.stop

    world.run(30)

    assert world.dues("e") == sorted(set(world.dues("e")))
    assert len(world.sent) == 2
    assert lateness(world) < 0.01, "the other beat need not wait for the claim to end"


def test_a_beat_that_is_stopped_while_it_publishes_leaves_the_tick_to_its_time() -> None:
    world = two_beats()
    world.next["publishing"] = world.stop

    world.run(45)

    assert len(world.sent) == 2
    assert lateness(world) == pytest.approx(10, abs=0.01)


def test_a_beat_that_is_stopped_between_publish_and_confirm_leaves_a_copy_of_the_same_id() -> None:
    world = two_beats()
    world.next["published"] = world.stop

    world.run(45)

    _, first, copy = world.sent
    assert (first.task_id, first.due) == (copy.task_id, copy.due)


def test_a_beat_that_is_stopped_while_it_confirms_has_confirmed() -> None:
    world = two_beats()
    world.next["confirming"] = world.stop

    world.run(45)

    assert len(world.sent) == 2


def test_a_beat_that_is_stopped_without_a_store_ends_all_the_same() -> None:
    world = two_beats()

    def cut_and_stop(beat: Beat) -> None:
        world.cut()
        world.stop(beat)

    world.next["granted"] = cut_and_stop
    world.run(30)

    assert [beat.died for beat in world.beats] == [None, None]
    assert sum(not beat.alive for beat in world.beats) == 1


def test_closing_a_beat_that_never_ran_opens_no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(every(10))
    app = world.beat("a").scheduler.app
    opened: list[AppLocks] = []
    monkeypatch.setattr(AppLocks, "open_store", lambda locks: opened.append(locks))

    scheduler = LockedScheduler(app=app, lazy=True)
    scheduler.close()

    assert opened == []


class Storing(LockedScheduler):
    """Stores its schedule after every tick, in a place that is full."""

    def should_sync(self) -> bool:
        return True

    def sync(self) -> None:
        raise OSError("no space left on the device")


def test_a_schedule_that_cannot_be_stored_costs_no_tick_and_sends_none_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(every(10))
    world.beat("a", kind=Storing)
    world.run(0.1)
    world.beat("b", kind=Storing)

    world.run(45)

    assert len(world.sent) == len(set(world.dues("e"))) == 4
    said = {record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING}
    assert said == {"beat: the schedule could not be stored"}, "a tick is no failed one for that"


def test_a_beat_whose_publishing_and_storing_both_fail_tries_the_tick_again() -> None:
    world = World(every(10))
    world.beat("a", kind=Storing)
    world.refuse = lambda beat: len(world.tried) == 1

    world.run(25)

    assert len(world.sent) == 2
    assert 0.99 < lateness(world) < 1.51


def test_an_exception_between_grant_and_publish_gives_the_tick_back() -> None:
    class Failing(Scheduler):
        fails = True

        def reserve(self, entry: Any) -> Any:
            if Failing.fails:
                Failing.fails = False
                raise RuntimeError("a scheduler's own mistake")
            return super().reserve(entry)

    class Ours(LockedScheduler, Failing):
        pass

    world = World(every(10))
    world.beat("a", kind=Ours)
    world.run(0.1)
    world.beat("b")

    world.run(25)

    assert len(world.sent) == len(set(world.dues("e"))) == 2
    assert lateness(world) < 0.01
    assert [type(beat.died) for beat in world.beats] == [RuntimeError, type(None)]
