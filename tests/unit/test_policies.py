"""Policies: values and functions of a conflict, their bounds, and each wrong one."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from celery_lock import (
    Conflict,
    LockConfigurationError,
    LockError,
    constant,
    exponential,
    fail,
    is_skipped,
    requeue,
    skip,
    wait,
)
from celery_lock.model import Decision, Holder
from celery_lock.policies import decide

CONFLICT = Conflict(
    key="user:7",
    task="charge",
    task_id="id-1",
    holder=Holder("id-2", "w1", 17, "ab"),
    attempt=1,
    waited=0.0,
    expires_in=10.0,
    redelivered=False,
    in_canvas=False,
)


def conflict(**changes: Any) -> Conflict:
    return replace(CONFLICT, **changes)


# -- values ----------------------------------------------------------------------------------


def test_a_policy_value_is_its_own_decision() -> None:
    for policy in (skip(), requeue(), wait(5), fail()):
        assert decide(policy, CONFLICT) is policy


def test_equal_policies_are_equal_and_frozen() -> None:
    assert requeue(max_attempts=3) == requeue(max_attempts=3)
    assert skip() == skip()
    with pytest.raises(FrozenInstanceError):
        requeue().max_attempts = 5  # type: ignore[misc]


def test_requeue_tries_for_ever_with_growing_pauses_and_then_fails() -> None:
    policy = requeue()

    assert policy.backoff == exponential(first=1, factor=2, cap=15, jitter="full")
    assert (policy.max_attempts, policy.max_wait, policy.then) == (None, None, fail())


def test_a_skip_says_what_was_skipped_and_for_whom() -> None:
    result = skip().outcome(CONFLICT)

    assert result == {"skipped": "user:7", "held_by": "id-2"}
    assert is_skipped(result)


@pytest.mark.parametrize("result", [None, False, 0, {"rows": 0}, ...])
def test_a_skip_may_have_a_result_of_its_own(result: Any) -> None:
    assert skip(result=result).outcome(CONFLICT) == result


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_a_copy_of_a_skip_skips_as_the_first(copied: Any) -> None:
    assert is_skipped(copied(skip()).outcome(CONFLICT))
    assert copied(skip()) == skip()


@pytest.mark.parametrize(
    "result", [None, {}, "skipped", {"skipped": 1}, {"skipped": 1, "held_by": 2, "more": 3}, []]
)
def test_other_results_are_no_skip(result: object) -> None:
    assert not is_skipped(result)


# -- bounds ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("attempt", "over"), [(1, False), (3, False), (4, True), (9, True)])
def test_max_attempts_is_how_often_a_message_is_sent_again(attempt: int, over: bool) -> None:
    assert requeue(max_attempts=3).spent(conflict(attempt=attempt)) is over


@pytest.mark.parametrize(("waited", "over"), [(0, False), (59.9, False), (60, True), (61, True)])
def test_max_wait_counts_from_the_first_conflict(waited: float, over: bool) -> None:
    assert requeue(max_wait=60).spent(conflict(waited=waited)) is over


def test_whichever_bound_comes_first_counts() -> None:
    policy = requeue(max_attempts=3, max_wait=60)

    assert policy.spent(conflict(attempt=4, waited=1))
    assert policy.spent(conflict(attempt=2, waited=61))
    assert not policy.spent(conflict(attempt=2, waited=1))


def test_without_a_bound_it_never_ends() -> None:
    assert not requeue().spent(conflict(attempt=10**6, waited=1e9))


# -- functions -------------------------------------------------------------------------------


def test_a_function_is_asked_with_the_conflict() -> None:
    def policy(c: Conflict) -> Decision:
        return skip() if c.attempt > 3 else requeue()

    assert decide(policy, conflict(attempt=3)) == requeue()
    assert decide(policy, conflict(attempt=4)) == skip()


def test_an_object_that_can_be_called_is_a_function() -> None:
    class Policy:
        def __call__(self, c: Conflict) -> Decision:
            return wait(3)

    assert decide(Policy(), CONFLICT) == wait(3)


def test_a_function_that_raises_is_an_error_that_names_both() -> None:
    def broken(c: Conflict) -> Decision:
        raise KeyError("user")

    with pytest.raises(LockError, match=r"broken raised KeyError: 'user' for lock 'user:7'") as e:
        decide(broken, CONFLICT)

    assert isinstance(e.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "answer", [None, skip, requeue, "skip", True, 5, Decision(), lambda c: skip()]
)
def test_a_function_that_answers_nonsense_is_an_error_that_says_what_to_return(
    answer: Any,
) -> None:
    with pytest.raises(LockError, match=r"it must return skip\(\), requeue\(\), wait") as caught:
        decide(lambda c: answer, CONFLICT)

    assert repr(answer) in str(caught.value)


def test_a_function_that_takes_no_conflict_is_an_error() -> None:
    def nothing() -> Decision:
        return skip()

    with pytest.raises(LockError, match="nothing raised TypeError"):
        decide(nothing, CONFLICT)  # type: ignore[arg-type]


def test_a_stop_that_falls_into_a_function_is_not_swallowed() -> None:
    def stopped(c: Conflict) -> Decision:
        raise SystemExit

    with pytest.raises(SystemExit):
        decide(stopped, CONFLICT)


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: wait(0), r"wait\(max_wait\)=0 must be more than zero"),
        (lambda: wait("5"), r"wait\(max_wait\)='5' is no duration"),  # type: ignore[arg-type]
        (lambda: wait(5, then=wait(5)), r"wait\(then=.*write one of fail\(\), skip\(\), requeue"),
        (lambda: wait(5, then=skip), r"wait\(then=.*is not possible"),  # type: ignore[arg-type]
        (lambda: requeue(5), r"requeue\(backoff=5\) is no backoff; write exponential"),  # type: ignore[arg-type]
        (lambda: requeue(constant), r"is no backoff; write exponential"),  # type: ignore[arg-type]
        (lambda: requeue(max_attempts=0), r"max_attempts=0\) must be a whole number"),
        (lambda: requeue(max_attempts=2.5), r"max_attempts=2.5\) must be a whole"),  # type: ignore[arg-type]
        (lambda: requeue(max_attempts=True), r"max_attempts=True\) must be a whole"),
        (lambda: requeue(max_wait=-1), r"requeue\(max_wait\)=-1 must be more than zero"),
        (lambda: requeue(then=requeue()), r"requeue\(then=.*write one of fail\(\), skip\(\), wait"),
        (lambda: requeue(then=None), r"requeue\(then=None\) is not possible"),  # type: ignore[arg-type]
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_where_it_is_written(made: Any, said: str) -> None:
    with pytest.raises(LockConfigurationError, match=said):
        made()


def test_wait_has_no_default_for_how_long() -> None:
    with pytest.raises(TypeError):
        wait()  # type: ignore[call-arg]
