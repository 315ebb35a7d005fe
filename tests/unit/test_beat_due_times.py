"""Due times in time zones, over changes of daylight saving, of the sun: as one beat of Celery's has
them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from celery import Celery
from celery.beat import Scheduler
from celery.schedules import crontab, schedule, solar

from celery_lock.beat import LockedScheduler
from celery_lock.beat.due_times import DueTimes
from tests.unit.beat_world import World, every

pytestmark = pytest.mark.unit

HOUR, DAY = 3600.0, 86_400.0


def utc(*moment: int) -> float:
    return datetime(*moment, tzinfo=timezone.utc).timestamp()  # type: ignore[misc, arg-type]


AUTUMN = utc(2026, 10, 25, 1)
"""In Berlin 3:00 becomes 2:00: the hour from 0:00 to 1:00 UTC is 2 o'clock, and so is the next."""
SPRING = utc(2026, 3, 29, 1)
"""In Berlin 2:00 becomes 3:00."""
BERLIN = {"timezone": "Europe/Berlin"}
ZONES = [BERLIN, {**BERLIN, "enable_utc": False}]


def run(kinds: list[type], rule: Any, begins: float, seconds: float, **conf: Any) -> World:
    world = World(every(rule), begins=begins, **conf)
    for number, kind in enumerate(kinds):
        world.beat(f"beat-{number}", kind=kind)
        world.run(0.4)
    world.run(seconds)
    assert all(beat.alive for beat in world.beats)
    return world


def two(rule: Any, begins: float, seconds: float, **conf: Any) -> World:
    return run([LockedScheduler, LockedScheduler], rule, begins, seconds, **conf)


def plain(rule: Any, begins: float, seconds: float, **conf: Any) -> World:
    return run([Scheduler], rule, begins, seconds, **conf)


def published(world: World, since: float) -> list[float]:
    """When messages were published: minutes after `since`, by the store's clock."""
    return [round((world.begins + sent.at - since) / 60, 1) for sent in world.sent]


def due(world: World, since: float) -> list[float]:
    """For when they were, likewise."""
    return [round((world.begins + sent.due - since) / 60, 6) for sent in world.sent]


# -- daylight saving, as Celery computes it ----------------------------------------------------

AROUND = [
    # The hour comes twice: what is due in it runs in its first one.
    pytest.param(AUTUMN, (30, "2"), [-30], id="autumn 30 2"),
    pytest.param(AUTUMN, (30, "2,3"), [-30, 90], id="autumn 30 2,3"),
    # Its second one is skipped whole, even by what runs all the time.
    pytest.param(AUTUMN, ("*/30", "*"), [-90, -60, -30, 60, 90, 120, 150], id="autumn */30"),
    pytest.param(AUTUMN, (0, "*"), [-60, 60, 120], id="autumn 0"),
    # The hour does not come: what is due in it runs by the clock that was not turned.
    pytest.param(SPRING, (30, "2"), [30], id="spring 30 2"),
    pytest.param(SPRING, (30, "2,3"), [30], id="spring 30 2,3"),
    pytest.param(SPRING, ("*/30", "*"), [-90, -60, -30, 0, 30, 60, 90, 120, 150], id="spring */30"),
]


@pytest.mark.parametrize("conf", ZONES, ids=["utc enabled", "utc disabled"])
@pytest.mark.parametrize(("change", "rule", "minutes"), AROUND)
def test_two_beats_publish_a_crontab_over_a_change_as_one_of_celerys_does(
    change: float, rule: tuple[Any, str], minutes: list[float], conf: dict[str, Any]
) -> None:
    begins, seconds = change - 2 * HOUR, 4.7 * HOUR

    ours = two(crontab(*rule), begins, seconds, **conf)
    celerys = plain(crontab(*rule), begins, seconds, **conf)

    assert due(ours, change) == minutes
    assert published(ours, change) == minutes
    assert published(celerys, change) == minutes


@pytest.mark.parametrize("change", [AUTUMN, SPRING], ids=["autumn", "spring"])
@pytest.mark.parametrize(
    "rule",
    [
        1800.0,
        schedule(1800, relative=True),
        schedule(timedelta(hours=1), relative=True),
        schedule(timedelta(days=1), relative=True),
    ],
    ids=["plain", "half an hour", "an hour", "a day"],
)
def test_intervals_over_a_change_are_celerys_as_well(rule: Any, change: float) -> None:
    """Some versions of Celery lose an hour in autumn here too."""
    begins, seconds = change - 3.1 * HOUR, 30 * HOUR

    ours = two(rule, begins, seconds, **BERLIN)
    celerys = plain(rule, begins, seconds, **BERLIN)

    assert published(ours, change) == pytest.approx(published(celerys, change), abs=0.1)
    assert len(set(due(ours, change))) == len(ours.sent) > 0


def test_a_beat_that_starts_within_the_repeated_hour_repeats_nothing() -> None:
    world = two(crontab("*/30"), AUTUMN - 2 * HOUR, 2.1 * HOUR, **BERLIN)
    for beat in world.beats:
        world.kill(beat)
    world.run(0.1 * HOUR)

    world.beat("late")
    world.run(2.5 * HOUR)

    assert due(world, AUTUMN) == [-90, -60, -30, 60, 90, 120, 150]


def test_a_beat_that_comes_back_within_the_repeated_hour_runs_once_for_what_it_missed() -> None:
    world = two(crontab("*/30"), AUTUMN - 2 * HOUR, 0.6 * HOUR, **BERLIN)
    for beat in world.beats:
        world.kill(beat)
    world.run(2.2 * HOUR)

    world.beat("late")
    world.run(0.5 * HOUR)

    first, missed, *later = published(world, AUTUMN)
    assert first == -90
    assert 47 < missed < 49
    assert later == [60]


@pytest.mark.parametrize("conf", ZONES, ids=["utc enabled", "utc disabled"])
@pytest.mark.parametrize(
    ("rule", "minutes"),
    [
        ((), [60, 61, 62]),
        (("*/5",), [60]),
        ((30,), [90]),
        ((30, "2"), [1470]),
        (("15,45", "2,3"), [75, 105, 1455]),
    ],
    ids=["each minute", "*/5", "30", "30 2", "15,45 2,3"],
)
def test_an_entry_that_is_new_within_the_repeated_hour_waits_until_it_is_over(
    rule: tuple[Any, ...], minutes: list[float], conf: dict[str, Any]
) -> None:
    """A beat of Celery's publishes it without a pause until the hour is over."""
    seconds = (minutes[-1] - 9.5) * 60
    world = World(every(crontab(*rule)), begins=AUTUMN + 10 * 60, **conf)
    for name in "ab":
        world.beat(name)
        world.run(0.02)
    assert world.sent == []

    world.run(seconds)

    assert due(world, AUTUMN) == minutes
    assert published(world, AUTUMN) == minutes


def test_a_crontab_of_ones_own_that_is_due_at_other_times_is_believed() -> None:
    noon = utc(2026, 3, 10, 12)

    due_times = DueTimes(crontab(minute=30), noon, timezone.utc)

    assert due_times.left_in_repeated_hour(noon - 60) is None


def test_a_crontab_of_ones_own_that_is_always_past_holds_up_no_beat() -> None:
    class Past(crontab):
        def remaining_estimate(self, last_run_at: datetime) -> timedelta:
            return timedelta(seconds=-1)

    noon = utc(2026, 3, 10, 12)

    assert DueTimes(Past(), noon, timezone.utc).after(noon) == noon - 1


@pytest.mark.parametrize("conf", ZONES, ids=["utc enabled", "utc disabled"])
def test_a_crontab_is_of_the_apps_time_zone(conf: dict[str, Any]) -> None:
    midnight = utc(2026, 3, 10)

    world = two(crontab(30, 2), midnight, DAY, **conf)

    assert due(world, midnight) == [90]


# -- the sun -----------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["sunrise", "solar_noon", "dusk_civil"])
def test_an_event_of_the_sun_is_published_once_a_day_by_two_beats(event: str) -> None:
    pytest.importorskip("ephem")
    begins = utc(2026, 3, 10)

    ours = two(solar(event, 48.2, 16.4), begins, 5 * DAY, timezone="Europe/Vienna")
    celerys = plain(solar(event, 48.2, 16.4), begins, 5 * DAY, timezone="Europe/Vienna")

    assert len(ours.sent) == 5
    assert len({sent.task_id for sent in ours.sent}) == 5
    assert published(ours, begins) == pytest.approx(published(celerys, begins), abs=0.1)
    assert all(DAY - 300 < b - a < DAY + 300 for a, b in pairwise(ours.dues("e")))


# -- after a long pause ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "latest"),
    [
        (crontab(), (4, 9, 12, 0)),
        (crontab("*/5"), (4, 9, 12, 0)),
        (crontab(minute="*", hour=3), (4, 9, 3, 59)),
        (crontab(30, 2), (4, 9, 2, 30)),
        (crontab(0, 0, day_of_month="1"), (4, 1, 0, 0)),
    ],
    ids=["each minute", "each five", "each of one hour", "each day", "each month"],
)
def test_after_a_month_without_any_beat_a_crontab_runs_once_for_its_latest_due_time(
    rule: Any, latest: tuple[int, ...]
) -> None:
    begins = utc(2026, 3, 10, 12)
    world = two(rule, begins, HOUR / 2)
    for beat in world.beats:
        world.kill(beat)
    before = len(world.sent)
    world.clock.move(begins + 30 * DAY + 30 - world.begins - world.now)

    for name in "ab":
        world.beat(name)
        world.run(0.2)

    (made_up,) = world.sent[before:]
    assert world.begins + made_up.due == utc(2026, *latest)


class Counted(crontab):  # type: ignore[misc]  # celery has no types
    """A crontab that counts how often it is asked for a due time."""

    asked = 0

    def remaining_estimate(self, *args: Any, **options: Any) -> Any:
        Counted.asked += 1
        return super().remaining_estimate(*args, **options)


@pytest.mark.parametrize(
    "fields",
    [{}, {"hour": 3, "minute": 0}, {"hour": 3}, {"hour": 3, "minute": 0, "month_of_year": 1}],
    ids=["each minute", "each day", "each minute of one hour", "each day of january"],
)
def test_the_latest_due_time_of_years_is_found_in_few_steps(fields: dict[str, Any]) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    now = utc(2026, 3, 10, 12)
    Counted.asked = 0

    due_times = DueTimes(Counted(app=app, **fields), now, timezone.utc)
    latest = due_times.latest(now - 4 * 365 * DAY)

    assert now - 70 * DAY < latest <= now
    assert Counted.asked < 200


def test_every_beat_names_the_same_due_time_whenever_it_asks() -> None:
    app = Celery("shop", set_as_current=False)
    each_minute = crontab(app=app)
    noon = utc(2026, 3, 10, 12)

    named = set()
    for part in range(1, 2000):  # of times that no float has exactly, and no datetime either
        due_times = DueTimes(each_minute, noon + part / 70.00007, timezone.utc)
        named.add(due_times.latest(noon - 60))

    assert named == {noon}
