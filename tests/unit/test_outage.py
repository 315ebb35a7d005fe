"""While its store is down a message comes again soon, and many of them one after the other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from celery_lock.stores.manual_clock import ManualClock
from celery_lock.task import outage
from celery_lock.task.outage import EACH_SECOND, LONGEST, outage_pause

from .forking import holds_in_a_child

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    outage._turns.drop()
    yield
    outage._turns.drop()


def test_a_message_comes_again_within_some_seconds_however_long_the_outage() -> None:
    clock = ManualClock(1000.0)

    for _ in range(100):
        assert 0.5 < outage_pause(clock) < 1.5
        clock.move(1)


def test_of_many_messages_one_always_comes_soon_and_the_broker_has_little_to_do() -> None:
    clock = ManualClock(1000.0)

    times = sorted(outage_pause(clock, lambda low, high: low) for _ in range(100))

    assert times[0] < 1
    assert all(later - one == pytest.approx(1 / EACH_SECOND) for one, later in pairwise(times))


def test_none_stays_away_longer_than_the_longest_pause() -> None:
    clock = ManualClock(1000.0)

    times = [outage_pause(clock) for _ in range(10_000)]

    assert max(times) <= LONGEST + 1
    clock.move(LONGEST)
    assert outage_pause(clock) < 2


def test_it_draws_no_numbers_that_a_user_has_seeded() -> None:
    before = random.getstate()

    outage_pause(ManualClock(1000.0))

    assert random.getstate() == before


def test_a_child_that_was_forked_has_turns_of_its_own() -> None:
    clock = ManualClock(1000.0)
    for _ in range(100):
        outage_pause(clock)

    assert holds_in_a_child(lambda: outage_pause(clock) < 2)
