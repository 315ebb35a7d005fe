"""The declaration: what it takes, and each mistake that is told where it is written."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from datetime import timedelta
from typing import Any

import pytest

from celery_lock import (
    Lock,
    LockConfigurationError,
    Scope,
    exponential,
    fail,
    requeue,
    skip,
    wait,
)

DURATIONS = ("ttl", "at_least", "at_most")
POLICIES = (skip, requeue, wait, fail)


def test_a_lock_without_words_protects_all_arguments_while_running() -> None:
    lock = Lock()

    assert lock.key is None
    assert lock.scope is Scope.WHILE_RUNNING
    assert all(getattr(lock, name) is None for name in DURATIONS)


def test_a_duration_may_be_a_timedelta() -> None:
    lock = Lock("k", ttl=timedelta(minutes=1), at_least=timedelta(seconds=5), at_most=600)

    assert (lock.ttl, lock.at_least, lock.at_most) == (60.0, 5.0, 600.0)


def test_a_lock_cannot_be_changed_but_copied_with_a_change() -> None:
    lock = Lock("k", ttl=5)

    with pytest.raises(FrozenInstanceError):
        lock.ttl = 6  # type: ignore[misc]
    assert replace(lock, ttl=6) == Lock("k", ttl=6)


def test_a_lock_can_be_copied_and_pickled() -> None:
    lock = Lock("k", ttl=5, on_conflict=requeue(max_attempts=3, then=skip()))

    assert copy.deepcopy(lock) == lock
    assert pickle.loads(pickle.dumps(lock)) == lock


@pytest.mark.parametrize("scope", [Scope.WHILE_RUNNING, "while_running"])
def test_a_scope_may_be_its_plain_value(scope: Any) -> None:
    assert Lock("k", scope=scope).scope is Scope.WHILE_RUNNING


def test_everything_but_the_key_has_to_be_named() -> None:
    with pytest.raises(TypeError):
        Lock("k", 30)  # type: ignore[misc]


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", [0, -1, timedelta(0), float("nan"), float("inf")])
def test_a_duration_of_zero_or_less_is_refused(name: str, value: Any) -> None:
    with pytest.raises(LockConfigurationError, match=rf"Lock\({name}\)=.* more than zero seconds"):
        Lock("k", **{name: value})


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", ["30", True, [30]])
def test_a_duration_that_is_no_number_is_refused(name: str, value: Any) -> None:
    with pytest.raises(LockConfigurationError, match=rf"Lock\({name}\)=.* is no duration"):
        Lock("k", **{name: value})


def test_a_ceiling_below_the_floor_is_refused() -> None:
    with pytest.raises(LockConfigurationError, match=r"at_most=5\) is below at_least=10"):
        Lock("k", at_least=10, at_most=5)


def test_a_ceiling_on_the_floor_is_possible() -> None:
    assert Lock("k", at_least=5, at_most=5).at_most == 5


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("tll", r"no option 'tll' \(did you mean 'ttl'\?\)"),
        ("on_confict", r"did you mean 'on_conflict'\?"),
        ("colour", r"no option 'colour'; it has key, scope, ttl, at_least,"),
        ("timeout", r"here ttl is how long .* and wait\(max_wait\) how long somebody waits"),
        ("expire", "here it is ttl"),
        ("blocking", r"here it is on_conflict=wait\(max_wait\)"),
        ("raise_on_duplicate", r"here it is on_conflict=fail\(\)"),
        ("graceful", r"here it is on_conflict=skip\(\)"),
        ("permits", "here it is limit"),
        ("max_concurrency", "here it is limit"),
        ("limits", r"did you mean 'limit'\?"),
    ],
)
def test_an_unknown_option_is_named_with_those_there_are(option: str, said: str) -> None:
    with pytest.raises(LockConfigurationError, match=said) as caught:
        Lock("k", **{option: 5})

    assert all(field.name in str(caught.value) for field in fields(Lock))


def test_an_unknown_option_is_refused_in_a_copy_too() -> None:
    with pytest.raises(LockConfigurationError, match="no option 'limits'"):
        replace(Lock("k"), limits=3)


def test_a_lock_has_one_permit_unless_it_says_how_many() -> None:
    assert Lock("k").limit == 1
    assert [Lock("k", limit=limit).limit for limit in (1, 2, 256)] == [1, 2, 256]


@pytest.mark.parametrize(
    "limit", [0, -1, True, False, 2.5, 3.0, "3", None, [3], float("nan"), float("inf"), 1j]
)
def test_what_is_no_number_of_permits_is_refused_with_what_to_write(limit: Any) -> None:
    with pytest.raises(LockConfigurationError, match=r"Lock\(limit\)=.* from 1 to 256") as caught:
        Lock("k", limit=limit)

    assert repr(limit) in str(caught.value)


@pytest.mark.parametrize("limit", [257, 5000, 10**5000], ids=["257", "5000", "many digits"])
def test_more_permits_than_a_key_can_have_are_refused(limit: int) -> None:
    with pytest.raises(LockConfigurationError, match=r"is above 256.*over several keys"):
        Lock("k", limit=limit)


def test_a_limit_is_checked_in_a_copy_too() -> None:
    with pytest.raises(LockConfigurationError, match="from 1 to 256"):
        replace(Lock("k", limit=3), limit=0)


def test_a_floor_may_be_one_of_successes_only() -> None:
    assert Lock("k", at_least=60).at_least_on_failure is True
    assert Lock("k", at_least=60, at_least_on_failure=False).at_least_on_failure is False


def test_when_a_floor_counts_says_nothing_where_there_is_none() -> None:
    with pytest.raises(LockConfigurationError, match="there is no at_least; write at_least=3600"):
        Lock("k", at_least_on_failure=False)


@pytest.mark.parametrize("value", [None, 0, "no", "False", 60])
def test_when_a_floor_counts_is_said_by_true_or_false(value: Any) -> None:
    with pytest.raises(LockConfigurationError, match="is not known; write True or False"):
        Lock("k", at_least=60, at_least_on_failure=value)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_bare_policy_name_is_refused_with_what_to_write(policy: type) -> None:
    name = policy.__name__
    with pytest.raises(LockConfigurationError, match=rf"write on_conflict={name}\(\)"):
        Lock("k", on_conflict=policy)


@pytest.mark.parametrize("policy", ["skip", 5, None.__class__, [skip()], LockConfigurationError])
def test_what_is_no_policy_is_refused(policy: Any) -> None:
    with pytest.raises(LockConfigurationError, match=r"is no policy; write skip\(\), requeue\(\)"):
        Lock("k", on_conflict=policy)


def test_a_function_is_a_policy() -> None:
    def by_attempt(conflict: Any) -> Any:
        return skip()

    assert Lock("k", on_conflict=by_attempt).on_conflict is by_attempt


@pytest.mark.parametrize("value", ["ignore", "", True, requeue()])
def test_an_unknown_answer_to_a_store_error_is_refused(value: Any) -> None:
    with pytest.raises(LockConfigurationError, match="write 'requeue', 'run' or 'fail'"):
        Lock("k", on_store_error=value)


@pytest.mark.parametrize("value", ["stop", None, "Flag"])
def test_an_unknown_answer_to_a_loss_is_refused(value: Any) -> None:
    with pytest.raises(LockConfigurationError, match="write 'flag' or 'interrupt'"):
        Lock("k", on_lost=value)


@pytest.mark.parametrize("scope", ["across_requeues", "running", None, 1])
def test_an_unknown_scope_is_refused_with_those_there_are(scope: Any) -> None:
    with pytest.raises(LockConfigurationError, match=r"this version has Scope\.WHILE_RUNNING"):
        Lock("k", scope=scope)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("until_start", "STARTED"), ("UNTIL_FINISHED", "FINISHED"), ("until-finish", "FINISHED")],
)
def test_a_scope_that_is_misspelt_is_named_with_the_one_meant(written: str, meant: str) -> None:
    with pytest.raises(LockConfigurationError, match=rf"did you mean Scope\.UNTIL_{meant}\?"):
        Lock("k", scope=written)


@pytest.mark.parametrize("scope", [each for each in Scope if each.queues])
def test_a_scope_that_keeps_the_key_in_the_queue_has_a_time_for_it(scope: Scope) -> None:
    assert Lock("k", scope=scope, queue_ttl=60).queue_ttl == 60.0


def test_a_key_that_nothing_keeps_in_the_queue_has_no_time_for_it() -> None:
    with pytest.raises(LockConfigurationError, match=r"with Scope\.WHILE_RUNNING nothing is kept"):
        Lock("k", queue_ttl=60)


@pytest.mark.parametrize("name", ["at_least", "at_most"])
def test_times_of_the_body_are_refused_where_the_key_is_given_back_before(name: str) -> None:
    with pytest.raises(LockConfigurationError, match=rf"{name}=60.*scope=Scope\.UNTIL_FINISHED"):
        Lock("k", scope="until_started", **{name: 60})  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [5, b"k", ["a", "b"], {"a": 1}])
def test_a_key_of_another_type_is_refused(key: Any) -> None:
    with pytest.raises(LockConfigurationError, match="is no key; write a template"):
        Lock(key)


def test_a_backoff_is_no_policy() -> None:
    """It is callable, so that it would be taken for a function of the Conflict."""
    with pytest.raises(LockConfigurationError, match="is no policy"):
        Lock("x", on_conflict=exponential())  # type: ignore[arg-type]
