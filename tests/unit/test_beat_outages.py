"""After an outage an interval runs once, and then not before its whole length has passed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from celery.schedules import crontab, schedule

from celery_lock.beat import LockedSchedulerMixin
from tests.unit.beat_world import World
from tests.unit.test_beat_fan_out import THE, ByTheApp, TenantApp

pytestmark = pytest.mark.unit


def store_down(world: World, seconds: float) -> None:
    world.cut()
    world.run(seconds)
    world.heal()


def broker_down(world: World, seconds: float) -> None:
    world.refuse = lambda beat: True
    world.run(seconds)
    world.refuse = lambda beat: False


def beats_down(world: World, seconds: float) -> None:
    for beat in world.beats:
        world.kill(beat)
    world.run(seconds)
    world.beat("c")
    world.beat("d")


def both_down(world: World, seconds: float) -> None:
    world.cut()
    broker_down(world, seconds)
    world.heal()


OUTAGES = [store_down, broker_down, beats_down, both_down]


@pytest.mark.parametrize(("seconds", "relative"), [(4.0, False), (30.0, False), (30.0, True)])
@pytest.mark.parametrize("ends", [1.1, 1.45, 2.9])
@pytest.mark.parametrize("outage", OUTAGES)
def test_an_interval_does_not_run_twice_within_its_length_after_an_outage(
    seconds: float, outage: Callable[[World, float], None], ends: float, relative: bool
) -> None:
    world = World({"e": {"task": "t:e", "schedule": schedule(seconds, relative=relative)}})
    for name in "ab":
        world.beat(name)
    world.run(3.5 * seconds)
    before = len(world.sent)

    outage(world, ends * seconds)
    back = world.now
    world.run(4.5 * seconds + 15)
    at = [sent.at for sent in world.sent]

    assert before == 3
    shortest = seconds - 1 if relative else 0.89 * seconds  # relative: to the whole second before
    assert min(two - one for one, two in pairwise(at)) >= shortest
    assert at[3] - back < 12, "once for all that it missed, and soon"
    assert len([one for one in at if one > back]) >= 4, "and then in its pace"
    assert len({sent.task_id for sent in world.sent}) == len(at)


@pytest.mark.parametrize("outage", OUTAGES)
def test_after_it_the_interval_keeps_its_pace_exactly(
    outage: Callable[[World, float], None],
) -> None:
    world = World({"e": {"task": "t:e", "schedule": 30.0}})
    world.beat("a")
    world.beat("b")
    world.run(40)

    outage(world, 37)
    world.run(130)
    dues = world.dues("e")

    assert {round(two - one, 2) for one, two in pairwise(dues[2:])} == {30.0}


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_crontab_keeps_to_the_clock_after_an_outage(
    outage: Callable[[World, float], None],
) -> None:
    world = World({"e": {"task": "t:e", "schedule": crontab(minute="*/10")}})
    world.beat("a")
    world.beat("b")
    world.run(1300)

    outage(world, 1100)  # noon and 21:40 to 40:00
    world.run(1000)

    assert [round(sent.at) // 60 for sent in world.sent if sent.at > 2400] in ([40, 50], [50])


@pytest.mark.parametrize("outage", [store_down, broker_down, beats_down])
def test_no_tenant_runs_twice_within_an_interval_after_an_outage(
    outage: Callable[[World, float], None],
) -> None:
    THE.__init__()  # type: ignore[misc]
    world = World({"e": {"task": "t:e", "schedule": 30.0}})
    world.app_class = TenantApp
    for name in "ab":
        world.beat(name, kind=type("Ours", (LockedSchedulerMixin, ByTheApp), {}))
    world.beat = _with_kind(world)  # type: ignore[method-assign]
    world.run(40)

    outage(world, 47)
    world.run(130)

    for tenant in ("alpha", "beta", "gamma"):
        at = [sent.at for sent in world.sent if sent.headers["tenant"] == tenant]
        assert min(two - one for one, two in pairwise(at)) >= 0.89 * 30
        assert len(at) >= 5


def _with_kind(world: World) -> Any:
    own = world.beat
    return lambda name: own(name, kind=type("Ours", (LockedSchedulerMixin, ByTheApp), {}))
