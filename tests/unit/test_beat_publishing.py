"""Schedulers that publish in a way of their own: each tick once, whatever they make of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery.beat import Scheduler

from celery_lock.beat import LockedScheduler, LockedSchedulerMixin
from tests.unit.beat_world import World, every

pytestmark = pytest.mark.unit


class SendsByItself(Scheduler):
    """Publishes with none of Celery's `apply_async`."""

    def apply_async(self, entry: Any, *args: Any, **options: Any) -> None:
        self.send_task(entry.task)


class AppliesByItself(Scheduler):
    """Publishes with none of Celery's `apply_entry`."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        self.send_task(entry.task)


def above(own: type) -> Any:
    """A class of one's own over ours."""
    body = {name: value for name, value in vars(own).items() if name.startswith("apply_")}
    return type("Above", (LockedScheduler,), body)


def below(own: type) -> Any:
    """A class of one's own under the mixin."""
    return type("Below", (LockedSchedulerMixin, own), {})


@pytest.mark.parametrize("place", [above, below])
@pytest.mark.parametrize("own", [SendsByItself, AppliesByItself])
def test_what_publishes_by_itself_publishes_each_tick_once(
    own: type, place: Callable[[type], Any]
) -> None:
    world = World(every(10))
    for name in "abc":
        world.beat(name, kind=place(own))
        world.run(0.4)

    world.run(100)

    assert len(world.sent) == 10


@pytest.mark.parametrize("name", ["apply_entry", "apply_async"])
def test_what_is_put_into_celerys_class_as_the_beat_starts_is_called_with_each_tick(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As Sentry's monitors of scheduled tasks do, when the scheduler is there already."""
    world, seen = World(every(10)), []
    world.beat("a")
    celerys = getattr(Scheduler, name)

    def sentrys(*args: Any, **options: Any) -> Any:
        scheduler, entry = args  # it unpacks them so
        seen.append(entry.name)
        return celerys(scheduler, entry, **options)

    monkeypatch.setattr(Scheduler, name, sentrys)
    world.run(30)

    assert len(world.sent) == len(seen) == 2


def test_a_method_that_a_scheduler_has_given_itself_is_its_own() -> None:
    class Counts(LockedScheduler):
        def __init__(self, *args: Any, **options: Any) -> None:
            self.counted = 0
            mine: Any = self
            mine.apply_entry = self.count
            super().__init__(*args, **options)

        def count(self, entry: Any, **options: Any) -> None:
            self.counted += 1
            Scheduler.apply_entry(self, entry, **options)

    world = World(every(10))
    beat = world.beat("a", kind=Counts)
    world.run(30)

    assert len(world.sent) == beat.scheduler.counted == 2


def test_an_entry_that_is_left_out_on_purpose_is_left_out_for_this_due_time() -> None:
    class Closed(LockedScheduler):
        def apply_entry(self, entry: Any, producer: Any = None) -> None:
            """Publish nothing: maintenance."""

    world = World(every(10))
    for name in "abc":
        world.beat(name, kind=Closed)
    world.run(30)
    before = sum(len(beat.store.calls) for beat in world.beats)

    world.run(100)

    assert world.sent == []
    assert sum(len(beat.store.calls) for beat in world.beats) - before <= 4 * 10


def test_what_fails_before_it_comes_to_us_is_tried_again_with_the_same_id() -> None:
    refused: list[str] = []

    class Guarded(LockedScheduler):
        def apply_async(self, entry: Any, *args: Any, **options: Any) -> Any:
            if len(refused) < 2:
                refused.append(entry.name)
                raise OSError("not yet")
            return super().apply_async(entry, *args, **options)

    world = World(every(10))
    for name in "ab":
        world.beat(name, kind=Guarded)

    world.run(35)

    assert len(world.dues("e")) == len(set(world.dues("e"))) == 3
    assert world.sent[0].at - world.sent[0].due == pytest.approx(1 + 2, abs=0.01)


def test_a_beat_outlives_a_scheduler_that_cannot_store_a_confirmed_run() -> None:
    class Storing(LockedScheduler):
        def confirmed(self, entry: Any) -> None:
            raise OSError("the disk is full")

    world = World(every(10))
    beat = world.beat("a", kind=Storing)

    world.run(35)

    assert beat.died is None
    assert len(world.dues("e")) == len(set(world.dues("e"))) == 3


def test_what_a_receiver_of_beat_init_writes_into_the_schedule_is_published_so() -> None:
    """As Cronitor does; it takes the headers of the entry that the scheduler has, besides."""
    stays = {"task": "t:stays", "schedule": 10.0}
    world = World(
        {
            "e": {"task": "t:e", "schedule": 10.0, "options": {"headers": {"by": "me"}}},
            "stays": stays,
        }
    )
    scheduler = world.beat("a").scheduler
    scheduler.schedule["e"].options.pop("headers")
    scheduler.schedule["stays"].options["headers"] = {"by": "beat_init"}
    scheduler.schedule["mine"] = scheduler.Entry(
        **dict(scheduler.schedule["e"], name="mine", task="t:mine")
    )
    scheduler.app.conf.beat_schedule = {
        "e": {"task": "t:e", "schedule": 10.0, "options": {"headers": {"by": "cronitor"}}},
        "new": {"task": "t:new", "schedule": 10.0},
        "stays": stays,
    }

    world.run(15)

    assert {sent.headers["task"]: sent.headers.get("by") for sent in world.sent} == {
        "t:e": "cronitor",
        "t:new": None,
        "t:mine": None,
        "t:stays": "beat_init",
    }
