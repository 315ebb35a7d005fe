"""What follows from what an entry says and what is known of its last run, without any store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timezone
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab, schedule

from celery_lock.beat.due_times import DueTimes
from celery_lock.beat.entry_record import LastRun
from celery_lock.beat.situation import Situation, Step, is_old
from celery_lock.beat.ticks import Tick, TickRequest

pytestmark = pytest.mark.unit

NOON = 1_773_144_000.0
APP = Celery("shop", set_as_current=False)


def situation(rule: Any, now: float, last: float, **more: Any) -> Situation:
    given: dict[str, Any] = {
        "due": True,
        "delay": 10.0,
        "is_sure": True,
        "look_in": None,
        "start": None,
        "counts_runs": False,
    }
    due_times = DueTimes(rule, NOON + now, timezone.utc)
    return Situation(
        now=NOON + now, last=LastRun(NOON + last, 1), due_times=due_times, **{**given, **more}
    )


def every(seconds: float, now: float, **more: Any) -> Situation:
    return situation(schedule(seconds, app=APP), now, 0.0, **more)


def tick(due: float, *, tries: int = 1) -> Tick:
    at = NOON + due
    return Tick("e", LastRun(NOON, 1), at, at, "stamp", 0.0, 60.0, tries=tries)


# -- the step ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "step"),
    [
        ({"due": False}, Step.SLEEP),
        ({"due": False, "look_in": 3.0}, Step.SLEEP),
        ({"due": False, "look_in": 0.0}, Step.LOOK),
        ({}, Step.CLAIM),
        ({"is_sure": False, "look_in": 3.0}, Step.CLAIM),
        ({"counts_runs": True}, Step.CLAIM),
        ({"counts_runs": True, "is_sure": False, "look_in": 3.0}, Step.LOOK),
    ],
)
def test_the_step_follows_from_the_entry_and_what_is_known(
    more: dict[str, Any], step: Step
) -> None:
    assert every(10.0, now=10.0, **more).step is step


@pytest.mark.parametrize(("look_in", "sleep"), [(None, 10.0), (3.0, 3.0), (30.0, 10.0)])
def test_a_beat_sleeps_until_the_entry_or_another_beats_claim_wants_it(
    look_in: float | None, sleep: float
) -> None:
    assert every(10.0, now=5.0, due=False, look_in=look_in).sleep == sleep


# -- what is asked for ---------------------------------------------------------------------------


def test_the_request_is_for_the_latest_due_time_and_its_claim_lives_until_the_next() -> None:
    asked = every(4.0, now=9.0, delay=4.0).request

    assert asked == TickRequest(NOON + 8, NOON + 8, claim_ttl=3.0, following=3.0, every=4.0)


def test_a_request_of_a_crontab_takes_the_entrys_word_for_the_next_due_time() -> None:
    asked = situation(crontab(app=APP), now=125.0, last=0.0, delay=55.0).request

    assert (asked.due, asked.next_base) == (NOON + 120, NOON + 120)
    assert asked.following == 55.0


# -- after a tick --------------------------------------------------------------------------------


def test_after_a_tick_an_interval_keeps_its_phase() -> None:
    assert every(10.0, now=12.0).delay_after(tick(10.0), NOON + 12.5) == 7.5


def test_after_an_older_tick_of_a_crontab_the_latest_comes_at_once() -> None:
    found = situation(crontab(app=APP), now=125.0, last=0.0, delay=55.0)

    assert found.delay_after(tick(60.0), NOON + 125) == 0.0
    assert found.delay_after(tick(120.0), NOON + 125) == 55.0


def test_an_entry_has_outlived_a_tick_if_a_later_one_or_none_is_due() -> None:
    found = every(10.0, now=35.0)

    assert found.has_outlived(tick(20.0))
    assert not found.has_outlived(tick(30.0))
    assert replace(found, due=False).has_outlived(tick(30.0))


def test_only_a_tick_that_is_taken_over_and_late_is_old() -> None:
    assert is_old(tick(0.0, tries=2), NOON + 20.1)
    assert not is_old(tick(0.0, tries=2), NOON + 20)
    assert not is_old(tick(0.0, tries=1), NOON + 3600)
