"""The time of a leader is known as an interval, from the notes that it leaves with each write."""

from __future__ import annotations

import pytest

from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.zookeeper.clock import LeaderClock

pytestmark = pytest.mark.unit

MS = 1000
"""Microseconds."""


@pytest.fixture
def mine() -> ManualClock:
    return ManualClock()


@pytest.fixture
def clock(mine: ManualClock) -> LeaderClock:
    return LeaderClock(mine)


def heard(clock: LeaderClock, mine: ManualClock, written: int, took: float) -> tuple[int, int]:
    sent = clock.now()
    mine.move(took)
    clock.heard(written, sent)
    interval = clock.interval()
    assert interval is not None
    return interval


def test_nothing_is_known_before_the_first_note(clock: LeaderClock) -> None:
    assert clock.interval() is None
    assert clock.age() == float("inf")


def test_the_present_is_after_the_note_by_as_long_as_the_answer_took_at_most(
    clock: LeaderClock, mine: ManualClock
) -> None:
    lo, hi = heard(clock, mine, 5_000, 0.010)

    assert lo == 5_000 * MS
    assert 5_011 * MS <= hi <= 5_011 * MS + 200


def test_the_interval_grows_by_what_two_clocks_may_differ(
    clock: LeaderClock, mine: ManualClock
) -> None:
    heard(clock, mine, 5_000, 0.0)
    mine.move(1.0)

    interval = clock.interval()

    assert interval is not None
    lo, hi = interval
    assert lo == pytest.approx(5_990 * MS, abs=2)
    assert hi == pytest.approx(6_011 * MS, abs=4)


def test_a_slow_answer_does_not_make_worse_what_is_known(
    clock: LeaderClock, mine: ManualClock
) -> None:
    heard(clock, mine, 5_000, 0.001)

    lo, hi = heard(clock, mine, 5_100, 0.3)

    assert hi - lo < 20 * MS


def test_a_narrower_note_names_no_earlier_moment_than_was_named_before(
    clock: LeaderClock, mine: ManualClock
) -> None:
    """A lease that was taken at the upper end would seem to be of the future."""
    _, named = heard(clock, mine, 5_000, 0.1)

    lo, hi = heard(clock, mine, 5_090, 0.001)

    assert lo == 5_090 * MS
    assert hi >= named


@pytest.mark.parametrize("later", [0.0, 0.6, 3.0, 600.0])
def test_a_clock_that_was_set_back_is_followed(
    clock: LeaderClock, mine: ManualClock, later: float
) -> None:
    """Else leases that live by the new time would seem to have ended."""
    heard(clock, mine, 9_000_000, 0.001)
    mine.move(later)

    lo, hi = heard(clock, mine, 5_000, 0.001)

    assert lo == 5_000 * MS
    assert hi < 5_010 * MS


def test_a_clock_that_was_set_forward_is_followed(clock: LeaderClock, mine: ManualClock) -> None:
    heard(clock, mine, 5_000, 0.001)

    lo, _ = heard(clock, mine, 9_000_000, 0.001)

    assert lo == 9_000_000 * MS


def test_the_next_leader_is_asked_anew(clock: LeaderClock, mine: ManualClock) -> None:
    heard(clock, mine, 5_000, 0.001)

    clock.forget()

    assert clock.interval() is None


def test_what_was_past_is_not_named_again(clock: LeaderClock, mine: ManualClock) -> None:
    """A wider note comes after a narrow one that is old."""
    heard(clock, mine, 5_000, 0.001)
    mine.move(0.6)
    before = clock.interval()
    assert before is not None

    lo, _ = heard(clock, mine, 5_595, 0.3)

    assert lo >= before[0]
