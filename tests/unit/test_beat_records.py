"""The record of an entry: how long it lives, what it says, and what nobody of ours has written."""

from __future__ import annotations

from typing import Any

import pytest

from celery_lock.model import Change
from tests.unit.beat_world import World, every

pytestmark = pytest.mark.unit

DAY = 86_400.0


def two(rule: Any, seconds: float) -> World:
    world = World(every(rule))
    for name in "ab":
        world.beat(name)
        world.run(0.4)
    world.run(seconds)
    return world


# -- how long it lives ---------------------------------------------------------------------------


def test_an_interval_of_months_fires_though_its_beats_are_deployed_each_day() -> None:
    world = World(every(70 * DAY))

    for _ in range(100):
        beat = world.beat("a")
        world.run(1)
        world.kill(beat)
        world.clock.move(DAY - 1)

    assert len(world.sent) == 1


# -- what nobody of ours has written -----------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["{[", "7", "{}", '{"last": NaN, "count": 1}', '{"last": 1e400, "count": 1}',
     '{"last": 1e18, "count": 1}', '{"last": -5, "count": 1}', '{"last": 5, "count": Infinity}',
     '{"last": 5, "count": 1, "next": "soon"}',
     '{"last": 5, "count": 1, "claim": {"due": NaN, "reach": 5, "by": "", "lives": 1, "tries": 1}}',
    ],
)  # fmt: skip
def test_a_beat_writes_over_what_is_none_of_ours_and_loses_no_tick(value: str) -> None:
    world = two(10.0, 25)
    store = world.beats[0].store
    (record,), _ = store.records("beat:shop", ["e"])
    assert store._inner.change(Change("beat:shop", "e", record.stamp, "x", value, 1e6)).done

    world.run(20)

    assert all(beat.alive for beat in world.beats)
    assert world.dues("e") == pytest.approx([10.25, 20.25, 30.25, 40.25], abs=0.01)
