"""A declaration that is called in another way: what it has, and what to write."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import math
import operator
import pickle
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

import celery_lock
from celery_lock import (
    Lock,
    LockConfigurationError,
    Scope,
    constant,
    exponential,
    fail,
    requeue,
    skip,
    wait,
)
from celery_lock.app.settings import Settings
from celery_lock.backoff import LONGEST

made: Any = celery_lock  # these calls are wrong, as type checkers would say

CALLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: made.Lock("k", 30), "takes only key without a name, so 30 needs one; it has key,"),
    (lambda: made.Lock("k", key="j"), "'key' twice, with and without its name"),
    (lambda: made.Lock(lock_expiry=5), "'lock_expiry': here a lease is renewed"),
    (lambda: made.Lock(unique_on=["a"]), "here it is a template"),
    (lambda: made.requeue(countdown=5), r"'countdown': here it is requeue\(constant\(5\)\)"),
    (lambda: made.requeue(max_retries=3), r"here it is requeue\(max_attempts=3\)"),
    (lambda: made.requeue(max_attemps=3), "did you mean 'max_attempts'"),
    (lambda: made.requeue(exponential(), 3), "takes only backoff without a name, so 3 needs one"),
    (lambda: made.wait(), r"wait needs max_wait; it has max_wait, then; write wait\(10\)"),
    (lambda: made.wait(timeout=5), r"here it is wait\(10\)"),
    (lambda: made.wait(5, skip()), r"takes only max_wait without a name, so skip\("),
    (lambda: made.skip("late"), "takes nothing without a name, so 'late' needs one; it has result"),
    (lambda: made.skip(reslt=1), "did you mean 'result'"),
    (lambda: made.fail("late"), r"it has no options at all; write fail\(\)"),
    (lambda: made.fail(ttl=1), r"it belongs to the lock: Lock\(ttl=...\)"),
    (lambda: made.constant(), r"constant needs delay; it has delay; write constant\(5\)"),
    (lambda: made.constant(seconds=5), r"here it is constant\(delay\)"),
    (lambda: made.exponential(max=5), "'max': here it is cap; it has first, factor, cap, jitter"),
    (lambda: made.exponential(1, 2, 15, None, 9), "so 9 needs one"),
]


@pytest.mark.parametrize(("call", "said"), CALLS)
def test_a_wrong_call_is_answered_with_what_there_is(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(LockConfigurationError, match=said) as caught:
        call()

    assert isinstance(caught.value, TypeError)
    assert "; write " in str(caught.value)


def in_a_with() -> None:
    with made.Lock("k"):
        pass


def in_an_async_with() -> None:
    async def body() -> None:
        async with made.Lock("k"):
            pass

    asyncio.run(body())


def as_a_decorator() -> None:
    @made.Lock("k")
    def body() -> None: ...


@pytest.mark.parametrize("use", [in_a_with, in_an_async_with, as_a_decorator])
def test_a_lock_that_is_used_as_an_object_says_what_to_write(use: Callable[[], None]) -> None:
    with pytest.raises(LockConfigurationError, match=r"write @app.task\(base=LockedTask, lock="):
        use()


@pytest.mark.parametrize("method", ["acquire", "release", "locked", "extend", "owned"])
def test_a_method_of_another_librarys_lock_is_refused(method: str) -> None:
    with pytest.raises(LockConfigurationError, match=rf"no {method}\(\).*write @app.task"):
        getattr(Lock("k"), method)()

    assert not hasattr(Lock("k"), method)
    assert not hasattr(Lock("k"), "colour")


@pytest.mark.parametrize("value", [Lock("k"), skip(), requeue(), wait(5), fail(), constant(5)])
def test_what_answers_wrong_calls_is_copied_and_described_as_before(value: Any) -> None:
    assert copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value
    assert "elsewhere" not in str(inspect.signature(type(value)))


# -- a function of the conflict --------------------------------------------------------------


class Policies:
    def takes_it(self, conflict: Any) -> Any:
        return skip()

    def takes_nothing(self) -> Any:
        return skip()

    def __call__(self, conflict: Any, other: Any) -> Any:
        return skip()


async def later(conflict: Any) -> Any:
    return skip()


def one_by_one(conflict: Any) -> Any:
    yield skip()


class LaterToo:
    async def __call__(self, conflict: Any) -> Any:
        return skip()


TAKES_NO_CONFLICT: list[Any] = [
    lambda: skip(),
    lambda c, other: skip(),
    lambda *, c: skip(),
    lambda **c: skip(),
    functools.partial(lambda c: skip(), 1),
    functools.partial(skip),
    Policies(),
    Policies().takes_nothing,
]
TAKES_ONE: list[Any] = [
    lambda c: skip(),
    lambda *all: skip(),
    lambda c, other=1: skip(),
    lambda c, *, other=1: skip(),
    functools.partial(Policies(), other=1),
    Policies().takes_it,
    operator.attrgetter("attempt"),
    {}.get,
]


@pytest.mark.parametrize("function", TAKES_NO_CONFLICT)
def test_a_policy_function_that_takes_no_conflict_is_refused(function: Any) -> None:
    with pytest.raises(LockConfigurationError, match=r"with one argument, the Conflict .*lambda c"):
        Lock("k", on_conflict=function)
    with pytest.raises(LockConfigurationError, match=r"lock_on_conflict=.* with one argument"):
        Settings(on_conflict=function)


@pytest.mark.parametrize("function", [later, one_by_one, LaterToo(), functools.partial(later)])
def test_a_policy_function_that_answers_later_is_refused(function: Any) -> None:
    with pytest.raises(LockConfigurationError, match=r"answers later: .* lambda c"):
        Lock("k", on_conflict=function)


@pytest.mark.parametrize("function", TAKES_ONE)
def test_what_can_be_called_with_a_conflict_is_a_policy(function: Any) -> None:
    assert Lock("k", on_conflict=function).on_conflict == function


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (skip, "skip is the name of a policy, not a policy"),
        (lambda c: skip(), "what comes then is one decision, and no function decides it"),
        (lambda: skip(), "no function decides it"),
        ("skip", "then='skip'"),
    ],
)
@pytest.mark.parametrize("policy", [functools.partial(wait, 5), functools.partial(requeue)])
def test_what_comes_then_is_one_decision(policy: Any, then: Any, said: str) -> None:
    with pytest.raises(LockConfigurationError, match=rf"{said}.*; write one of fail\(\)"):
        policy(then=then)


def test_a_lock_is_neither_a_key_nor_a_policy() -> None:
    """It can be called, to say what to write: that makes it no function."""
    for options in ({"key": Lock("k")}, {"on_conflict": Lock("k")}):
        with pytest.raises(LockConfigurationError, match=r"is no policy|is a Lock and no key"):
            Lock(**options)  # type: ignore[arg-type]


# -- durations -------------------------------------------------------------------------------

TOO_LONG: list[Any] = [
    sys.maxsize,
    LONGEST * 1.001,
    LONGEST + 1,
    1e300,
    timedelta.max,
    timedelta(days=3651),
]
NO_TIME: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    10**5000,
    -1,
    0,
    -sys.maxsize,
    timedelta.min,
    timedelta(0),
]
NO_DURATION: list[Any] = [True, False, "30", "30s", Decimal(30), 3j, b"30", [30], object()]

WHERE: dict[str, Callable[[Any], Any]] = {
    "ttl": lambda value: Lock("k", ttl=value),
    "at_least": lambda value: Lock("k", at_least=value),
    "at_most": lambda value: Lock("k", at_most=value),
    "queue_ttl": lambda value: Lock("k", scope=Scope.ACROSS_RETRIES, queue_ttl=value),
    "wait(max_wait)": lambda value: wait(value),
    "requeue(max_wait)": lambda value: requeue(max_wait=value),
    "constant(delay)": lambda value: constant(value),
    "exponential(first)": lambda value: exponential(first=value),
    "exponential(cap)": lambda value: exponential(cap=value),
    "lock_ttl": lambda value: Settings(ttl=value),
    "lock_store_deadline": lambda value: Settings(store_deadline=value),
}


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(
    ("values", "said"),
    [(TOO_LONG, "is too long"), (NO_TIME, "more than zero"), (NO_DURATION, "is no duration")],
)
def test_a_duration_that_no_store_can_keep_is_refused(
    where: str, values: list[Any], said: str
) -> None:
    for value in values:
        with pytest.raises(LockConfigurationError, match=said) as caught:
            WHERE[where](value)

        assert where.partition("(")[0] in str(caught.value)


@pytest.mark.parametrize("where", [name for name in WHERE if name != "lock_store_deadline"])
@pytest.mark.parametrize("value", [LONGEST, timedelta(days=3650), 0.001, 1, timedelta(seconds=1)])
def test_a_duration_up_to_ten_years_is_taken(where: str, value: Any) -> None:
    if where == "exponential(first)":
        assert exponential(first=value, cap=LONGEST)
    elif where == "exponential(cap)":
        assert exponential(first=0.001, cap=value)
    else:
        assert WHERE[where](value)


def test_a_deadline_of_a_store_is_at_most_a_day() -> None:
    """A socket counts its timeout in milliseconds, and not beyond some 24 days."""
    assert Settings(store_deadline=86_400).store_deadline == 86_400
    with pytest.raises(LockConfigurationError, match=r"at most 86400 s can be kept"):
        Settings(store_deadline=86_401)
