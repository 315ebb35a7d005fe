"""What the plans of several beats under fire have in them."""

from __future__ import annotations

import pytest

from tests.beats import plan as plans
from tests.beats.plan import ALL, BEATS, CALM_FIRST, CALM_LAST, plan
from tests.beats.play import between_due_times

SEEDS = range(1, 30)


@pytest.mark.parametrize("seed", SEEDS)
def test_three_minutes_have_every_fault(seed: int) -> None:
    drawn = plan(seed, 180)

    assert {fault.what for fault in drawn} == ALL


@pytest.mark.parametrize("seed", SEEDS)
def test_beats_fire_before_the_first_fault_and_after_the_last(seed: int) -> None:
    drawn = plan(seed, 180)

    assert drawn[0].at >= CALM_FIRST
    assert max(fault.at for fault in drawn) <= 180 - CALM_LAST


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_paused_or_dead_when_the_store_is_emptied(seed: int) -> None:
    drawn = plan(seed, 180)
    flush = next(fault.at for fault in drawn if fault.what == plans.FLUSH)

    lasting = (plans.KILL, plans.PAUSE, plans.DIE_CLAIMED, plans.DIE_PUBLISHED)
    early = [fault for fault in drawn if fault.what in lasting and fault.at < flush]
    assert early
    assert max(fault.at + fault.value for fault in early) < flush


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pause_is_longer_than_any_claim_lives(seed: int) -> None:
    pauses = [fault.value for fault in plan(seed, 180) if fault.what == plans.PAUSE]

    assert min(pauses) > plans.CLAIM


@pytest.mark.parametrize("seed", SEEDS)
def test_outages_of_the_store_do_not_meet(seed: int) -> None:
    pause, kill = (f for f in plan(seed, 180) if f.what in (plans.STORE_PAUSE, plans.STORE_KILL))

    assert pause.at + pause.value + plans.CLAIM < kill.at


def test_a_seed_draws_the_same_plan_again() -> None:
    assert plan(7, 180) == plan(7, 180)
    assert plan(7, 180) != plan(8, 180)


def test_a_plan_can_have_some_faults_only() -> None:
    drawn = plan(1, 60, {plans.KILL, plans.CLOCK})

    assert {fault.what for fault in drawn} == {plans.KILL, plans.CLOCK}
    assert all(fault.beat is not None and fault.beat < BEATS for fault in drawn)


def test_between_due_times_is_away_from_the_second_of_each_entry() -> None:
    lines = [
        {"what": "published", "entry": "a", "due": 1000.2, "at": 1000.9},
        {"what": "published", "entry": "b", "due": None, "at": 1001.6},
        {"what": "ran", "entry": "c", "due": 1000.9, "at": 1000.9},
    ]

    assert between_due_times(lines, 1007.9)
    assert between_due_times(lines, 1007.4)
    assert not between_due_times(lines, 1007.25)
    assert not between_due_times(lines, 1007.15)
    assert not between_due_times(lines, 1007.55)
