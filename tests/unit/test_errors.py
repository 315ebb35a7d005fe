"""Errors: what they say, and that they survive the ways out of a pool child."""

from __future__ import annotations

import pickle

import pytest
from celery import Celery
from celery.utils.serialization import UnpickleableExceptionWrapper, get_pickleable_exception

import celery_lock
from celery_lock import errors
from celery_lock.errors import (
    LeaseLost,
    LockConfigurationError,
    LockConflict,
    LockError,
    LockWaitTimeout,
    StoreError,
    StoreUnavailable,
    UnsupportedFeature,
    did_you_mean,
)
from celery_lock.message import Unsent

ONE_OF_EACH: tuple[LockError, ...] = (
    LockError("what"),
    LockConfigurationError("what"),
    UnsupportedFeature("records", "a beat", "redlock://", ("redis://", "memory://")),
    UnsupportedFeature("fencing", "lease.token of lock 'k'", "its own"),
    LockConflict("k", "id-2"),
    LockConflict("k"),
    LockConflict("k", "id-2", 12.5),
    LockConflict("k", "id-2", 12.5, "at_least"),
    LockConflict("k", "id-2", None, "retry"),
    LockConflict("k", "id-2", 12.5, "held", ("id-2", "id-3")),
    LockConflict("k", "id-2", None, "at_least", ("id-2", "id-3")),
    LockWaitTimeout("k", "id-2"),
    LockWaitTimeout("k", "id-2", 0.5),
    LeaseLost("k", "expired"),
    LeaseLost("k", "taken", "id-2"),
    StoreError("what"),
    StoreUnavailable("redis://db:6379/0", "no answer within 2 s"),
    Unsent("what"),
)


def of_each(error: LockError) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=of_each)
def test_every_error_is_an_ordinary_exception(error: LockError) -> None:
    """A `BaseException` leaves a threads pool's slot busy for ever and stops a solo worker."""
    assert isinstance(error, Exception)
    assert isinstance(error, LockError)


def test_no_error_class_is_left_out_here() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type)}
    shown = {value for value in vars(celery_lock).values() if isinstance(value, type)}

    assert {each for each in classes | shown if issubclass(each, BaseException)} <= {
        type(error) for error in ONE_OF_EACH
    }


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=of_each)
def test_an_error_pickles_with_all_that_it_knows(error: LockError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert copy.args == error.args
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=of_each)
def test_celery_takes_an_error_through_the_pipe_as_it_is(error: LockError) -> None:
    assert not isinstance(get_pickleable_exception(error), UnpickleableExceptionWrapper)
    assert type(get_pickleable_exception(error)) is type(error)


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=of_each)
@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_a_result_backend_gives_back_the_same_error(error: LockError, serializer: str) -> None:
    backend = Celery("app", backend="cache+memory://", set_as_current=False).backend

    stored = backend.prepare_exception(error, serializer)
    found = backend.exception_to_python(stored)

    assert type(found) is type(error)
    assert str(found) == str(error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LockConflict("k", "id-2"), "lock 'k' is held by id-2"),
        (LockConflict("k"), "lock 'k' is held by somebody who has left since"),
        (LockConflict("k", ""), "lock 'k' is held by somebody who has left since"),
        (LockConflict("k", "a", 5, "held", ["a"]), "lock 'k' is held by a"),
        (LockConflict("k", "a", 5, "held", ["b", "a"]), "lock 'k' is taken 2 times, by b and a"),
        (
            LockConflict("k", "a", 5, "at_least", list("abcdefg")),
            "lock 'k' is taken 7 times, by a, b, c, d, e and 2 more",
        ),
        (LockWaitTimeout("k", "id-2"), "gave up waiting: lock 'k' is held by id-2"),
        (LeaseLost("k", "expired"), "the lease of 'k' is lost (expired)"),
        (LeaseLost("k", "taken", "id-2"), "the lease of 'k' is lost (taken by id-2)"),
        (StoreUnavailable("u", "down"), "the lock store u is not available: down"),
    ],
)
def test_an_error_says_what_was_wrong_and_who_did_it(error: LockError, said: str) -> None:
    assert str(error) == said


def test_who_catches_a_family_catches_its_members() -> None:
    assert issubclass(UnsupportedFeature, LockConfigurationError)
    assert issubclass(LockWaitTimeout, LockConflict)
    assert issubclass(StoreUnavailable, StoreError)


def test_a_close_name_is_offered_and_a_far_one_is_not() -> None:
    assert did_you_mean("tll", ["ttl", "key"]) == " (did you mean 'ttl'?)"
    assert did_you_mean("colour", ["ttl", "key"]) == ""
