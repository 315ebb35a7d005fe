"""The record of an entry: how long it lives, what it says, and what nobody of ours has written."""

from __future__ import annotations

import pytest

from tests.unit.beat_world import World, every

pytestmark = pytest.mark.unit

DAY = 86_400.0


# -- how long it lives ---------------------------------------------------------------------------


def test_an_interval_of_months_fires_though_its_beats_are_deployed_each_day() -> None:
    world = World(every(70 * DAY))

    for _ in range(100):
        beat = world.beat("a")
        world.run(1)
        world.kill(beat)
        world.clock.move(DAY - 1)

    assert len(world.sent) == 1
