"""What a beat takes for the store's time, between two answers and after slow ones."""

from __future__ import annotations

import pytest

from celery_lock.beat.clock import MARGIN, StoreClock
from celery_lock.stores.manual_clock import ManualClock

pytestmark = pytest.mark.unit


def test_until_the_first_answer_it_is_the_machines_own_time() -> None:
    steady = ManualClock(7.0)
    clock = StoreClock(1000.0, steady)

    steady.move(5)

    assert clock.now() == pytest.approx(1005.0, abs=2 * MARGIN)


def test_an_answer_sets_it_and_it_goes_on_by_the_steady_clock() -> None:
    steady = ManualClock()
    clock = StoreClock(1000.0, steady)

    clock.heard(5000.0, 0.0, 0.0)
    steady.move(60)

    assert clock.now() == pytest.approx(5060.0, abs=2 * MARGIN)


def test_it_is_never_ahead_of_the_store() -> None:
    steady = ManualClock(100.0)
    clock = StoreClock(1000.0, steady)

    # asked at 99.9, said 5000 at 99.95 and came at 100: by now it is 5000.05 there
    clock.heard(5000.0, 99.9, 100.0)

    assert clock.now() < 5000.05


def test_a_slow_answer_does_not_set_it_back() -> None:
    steady = ManualClock(100.0)
    clock = StoreClock(1000.0, steady)
    clock.heard(5000.0, 99.999, 100.0)

    steady.move(2)
    clock.heard(5000.3, 100.2, 102.0)  # the answer was on its way for almost two seconds

    assert clock.now() == pytest.approx(5002.0, abs=0.01)


def test_an_answer_that_shows_it_ahead_sets_it_back() -> None:
    steady = ManualClock(100.0)
    clock = StoreClock(1000.0, steady)
    clock.heard(5000.0, 99.999, 100.0)

    steady.move(10)
    clock.heard(5009.0, 109.999, 110.0)

    assert clock.now() < 5009.01


def test_a_jump_is_told_once() -> None:
    steady = ManualClock(100.0)
    clock = StoreClock(5000.0, steady)
    clock.heard(5000.1, 100.0, 100.0)
    assert not clock.jumped()

    clock.heard(8600.0, 100.0, 100.0)

    assert clock.jumped()
    assert not clock.jumped()
