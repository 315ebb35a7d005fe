"""Schedules of one's own, and long ones: what a beat does to them, and what they outlive."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery import Celery
from celery.beat import BeatLazyFunc
from celery.schedules import schedule

from tests.unit.beat_world import World, every
from tests.unit.test_beats import gaps

pytestmark = pytest.mark.unit

DAY = 86_400


class Remembering(schedule):
    """Notes in itself when it is due next, and goes by nothing else."""

    due: float | None = None

    def is_due(self, last_run_at: Any) -> Any:
        now = self.now().timestamp()
        if self.due is None:
            self.due = now + 10
        if now < self.due:
            return False, self.due - now
        self.due += 10
        return True, self.due - now


class Slotted(schedule):
    """Keeps a part of itself in `__slots__`."""

    __slots__ = ("factor",)

    def __init__(self) -> None:
        super().__init__(5)
        self.factor = 2

    def is_due(self, last_run_at: Any) -> Any:
        left = self.factor * 5 - (self.now() - last_run_at).total_seconds()
        return left <= 0, left if left > 0 else 10.0


class Bare:
    """No class of Celery's, and nothing can be put into it."""

    __slots__ = ("app",)
    app: Any

    def now(self) -> Any:
        return self.app.now()

    def is_due(self, last_run_at: Any) -> Any:
        left = 10 - (self.now() - last_run_at).total_seconds()
        return left <= 0, left if left > 0 else 10.0


def test_a_schedule_that_notes_in_itself_when_it_is_due_is_published() -> None:
    world = World(every(Remembering(10)))  # type: ignore[arg-type]  # any schedule
    world.beat("a")

    world.run(65)

    assert len(world.sent) == 6


@pytest.mark.parametrize("kind", [Slotted, Bare])
def test_a_schedule_with_slots_is_published(kind: Any) -> None:
    world = World(every(kind()))
    beat = world.beat("a")

    world.run(65)

    assert beat.died is None
    assert len(world.sent) in (5, 6)


def test_an_entry_of_a_quarter_fires_though_its_beats_are_deployed_every_day() -> None:
    world = World(every(90 * DAY))
    for n in range(200):
        beat = world.beat(f"a{n}")
        world.run(DAY)
        world.kill(beat)

    assert len(world.sent) == 2
    assert gaps(world.dues("e")) == {90.0 * DAY}


def test_an_entry_that_is_named_after_an_address_in_memory_is_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def body(n: int) -> None: ...

    app = Celery("named", broker="memory://", set_as_current=False)
    task = app.task(name="t", shared=False)(body)
    app.add_periodic_task(5, task.s(BeatLazyFunc(lambda: 7)))
    app.add_periodic_task(5, task.s(7))
    app.add_periodic_task(5, task.s(BeatLazyFunc(lambda: 7)), name="mine")
    world = World({name: dict(entry) for name, entry in app.conf.beat_schedule.items()})

    with caplog.at_level(logging.WARNING, "celery_lock"):
        world.beat("a")
        world.run(60)

    (said,) = [line for line in caplog.messages if "an address in memory" in line]
    assert "BeatLazyFunc" in said
    assert "name=" in said
