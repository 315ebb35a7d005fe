"""Pauses between tries: their curves, their chance, and what is no pause."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from typing import Any

import pytest

from celery_lock import LockConfigurationError, constant, exponential
from celery_lock.backoff import seconds


def highest(low: float, high: float) -> float:
    return high


def lowest(low: float, high: float) -> float:
    return low


# -- durations -------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "number"), [(3, 3.0), (0.5, 0.5), (timedelta(minutes=2), 120.0)])
def test_a_duration_is_seconds_or_a_timedelta(value: Any, number: float) -> None:
    found = seconds(value, "ttl")

    assert found == number
    assert type(found) is float


@pytest.mark.parametrize(
    "value", [0, 0.0, -1, -0.001, math.inf, math.nan, timedelta(0), timedelta(-1), 10**400]
)
def test_a_duration_is_finite_and_more_than_zero(value: Any) -> None:
    with pytest.raises(LockConfigurationError, match=r"^ttl=.* must be more than zero seconds"):
        seconds(value, "ttl")


@pytest.mark.parametrize("value", [True, False, "30", None, [], 3j])
def test_what_is_no_number_is_no_duration(value: Any) -> None:
    with pytest.raises(LockConfigurationError, match="is no duration; write seconds or"):
        seconds(value, "ttl")


def test_zero_is_a_duration_only_where_it_is_allowed() -> None:
    assert seconds(0, "at_least", zero=True) == 0
    with pytest.raises(LockConfigurationError, match="zero or more"):
        seconds(-1, "at_least", zero=True)


# -- curves ----------------------------------------------------------------------------------


def test_a_constant_pause_is_always_the_same() -> None:
    backoff = constant(timedelta(seconds=5))

    assert [backoff(attempt) for attempt in (1, 2, 100)] == [5, 5, 5]


def test_an_exponential_pause_grows_by_its_factor_up_to_its_cap() -> None:
    backoff = exponential(first=1, factor=2, cap=15, jitter=None)

    assert [backoff(attempt) for attempt in (1, 2, 3, 4, 5, 6)] == [1, 2, 4, 8, 15, 15]


def test_full_jitter_draws_between_zero_and_the_pause() -> None:
    backoff = exponential(first=1, factor=2, cap=15)

    assert [backoff.pause(attempt, lowest) for attempt in (1, 2, 9)] == [0, 0, 0]
    assert [backoff.pause(attempt, highest) for attempt in (1, 2, 9)] == [1, 2, 15]


def test_chance_really_differs() -> None:
    backoff = exponential(first=1, cap=15)

    pauses = {backoff(9) for _ in range(20)}

    assert len(pauses) > 1
    assert all(0 <= pause <= 15 for pause in pauses)


@pytest.mark.parametrize("factor", [2, 2.0, 1e5, 10**200, math.inf])
@pytest.mark.parametrize("attempt", [65, 1100, 10**9, 10**30])
def test_no_attempt_is_too_late_for_a_pause(factor: float, attempt: int) -> None:
    assert exponential(factor=factor, jitter=None)(attempt) == 15


@pytest.mark.parametrize("attempt", [0, -3])
def test_an_attempt_that_makes_no_sense_pauses_as_the_first(attempt: int) -> None:
    assert exponential(jitter=None)(attempt) == 1


def test_a_pause_draws_no_numbers_that_a_user_has_seeded() -> None:
    before = random.getstate()

    exponential()(3)

    assert random.getstate() == before


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: constant(0), r"constant\(delay\)=0 must be more than zero"),
        (lambda: exponential(first=0), r"exponential\(first\)=0 must be more than zero"),
        (lambda: exponential(cap=-1), r"exponential\(cap\)=-1 must be more than zero"),
        (lambda: exponential(first=20), r"exponential\(cap=15.0\) must not be below first=20"),
        (lambda: exponential(factor=0.5), r"exponential\(factor=0.5\) must be a number of 1"),
        (lambda: exponential(factor=math.nan), r"exponential\(factor=nan\) must be a number"),
        (lambda: exponential(factor="2"), r"exponential\(factor='2'\) must be a number"),  # type: ignore[arg-type]
        (lambda: exponential(factor=True), r"exponential\(factor=True\) must be a number"),
        (lambda: exponential(jitter="half"), r"jitter='half'.*write 'full' or None"),  # type: ignore[arg-type]
    ],
)
def test_a_pause_that_makes_no_sense_is_refused_where_it_is_written(made: Any, said: str) -> None:
    with pytest.raises(LockConfigurationError, match=said):
        made()
