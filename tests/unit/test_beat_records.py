"""The record of an entry: how long it lives, what it says, and what nobody of ours has written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from celery.schedules import crontab, schedule

from celery_lock.beat.entry_record import EntryRecord
from celery_lock.model import Change
from tests.unit.beat_world import World, every

pytestmark = pytest.mark.unit

DAY = 86_400.0
TURN = 0.001
"""Seconds that a beat of this world needs for its turn, and a bit."""


def two(rule: Any, seconds: float) -> World:
    world = World(every(rule))
    for name in "ab":
        world.beat(name)
        world.run(0.4)
    world.run(seconds)
    return world


def next_due(world: World) -> float | None:
    """What the record says of the next due time: seconds since the world began."""
    (record,), _ = world.beats[0].store.records("beat:shop", ["e"])
    entry = EntryRecord.read(record)
    assert entry is not None
    assert entry.claim is None
    return None if entry.next_due is None else entry.next_due - world.begins


# -- how long it lives ---------------------------------------------------------------------------


def test_an_interval_of_months_fires_though_its_beats_are_deployed_each_day() -> None:
    world = World(every(70 * DAY))

    for _ in range(100):
        beat = world.beat("a")
        world.run(1)
        world.kill(beat)
        world.clock.move(DAY - 1)

    assert len(world.sent) == 1


def test_an_interval_of_months_goes_on_after_a_tick_that_was_taken_over() -> None:
    world = two(60 * DAY, 0)
    world.next["claimed"] = world.die
    world.run(61 * DAY)
    for beat in world.beats:
        world.kill(beat)
    world.clock.move(40 * DAY)

    world.beat("c")
    world.run(20 * DAY)

    assert [round(due / DAY) for due in world.dues("e")] == [60, 120]


# -- what it says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "following"),
    [
        (10.0, 10.0),
        (crontab(), 60.0),
        (schedule(20, relative=True), 20.0),
    ],
    ids=["interval", "crontab", "relative"],
)
def test_the_record_says_which_due_time_comes_next(rule: Any, following: float) -> None:
    world = two(rule, 130)

    assert next_due(world) == pytest.approx(world.dues("e")[-1] + following, abs=TURN)


def test_a_confirm_that_is_sent_late_says_it_as_well() -> None:
    world = two(10.0, 25)
    world.next["published"] = lambda beat: world.cut()
    world.run(8)
    world.heal()
    world.run(1.5)

    assert next_due(world) == pytest.approx(world.dues("e")[-1] + 10, abs=TURN)


def test_a_schedule_that_cannot_be_asked_says_nothing_of_its_next_due_time() -> None:
    class Own(schedule):  # type: ignore[misc]  # celery has no types
        def remaining_estimate(self, last_run_at: Any) -> Any:
            raise NotImplementedError

        def is_due(self, last_run_at: datetime) -> Any:
            age = (self.now() - last_run_at).total_seconds()
            return age >= 10, 10.0 - age if age < 10 else 10.0

    world = two(Own(1), 35)

    assert len(world.sent) == 3
    assert next_due(world) is None


# -- what nobody of ours has written -----------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["{[", "7", "{}", '{"last": NaN, "count": 1}', '{"last": 1e400, "count": 1}',
     '{"last": 1e18, "count": 1}', '{"last": -5, "count": 1}', '{"last": 5, "count": Infinity}',
     '{"last": 5, "count": 1, "next": "soon"}',
     '{"last": 5, "count": 1,'
     ' "claim": {"due": NaN, "next_base": 5, "by": "", "ttl": 1, "tries": 1}}',
    ],
)  # fmt: skip
def test_a_beat_writes_over_what_is_none_of_ours_and_loses_no_tick(value: str) -> None:
    world = two(10.0, 25)
    store = world.beats[0].store
    (record,), _ = store.records("beat:shop", ["e"])
    assert store.inner.change(Change("beat:shop", "e", record.stamp, "x", value, 1e6)).done

    world.run(20)

    assert all(beat.alive for beat in world.beats)
    assert world.dues("e") == pytest.approx([10.25, 20.25, 30.25, 40.25], abs=0.01)
