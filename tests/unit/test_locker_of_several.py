"""The engine with several keys: all or none, whatever goes wrong around claim and release."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from celery_lock.engine.locker import Ask, Grant
from celery_lock.errors import StoreUnavailable
from celery_lock.events import Acquired, Released, StoreFailed
from celery_lock.model import End, Feature, Held, Holder, Met, Refused
from celery_lock.testing import FaultyStore

from .engine import SUBJECT, Engine

HEIR = str(Holder.for_retry("id-1", 1))
STOPS = (SoftTimeLimitExceeded(), KeyboardInterrupt(), SystemExit(1), MemoryError())


@pytest.fixture(params=["in one step", "one after another"])
def either(request: pytest.FixtureRequest, engine: Engine) -> Engine:
    """With a store that has the feature, and with one that lacks it."""
    if request.param == "one after another":
        engine.store.lacks = {Feature.SEVERAL}
    return engine


def asks(engine: Engine, *keys: str, at_most: float | None = None, **options: Any) -> list[Ask]:
    return [Ask(engine.claim(key, **options), SUBJECT, at_most) for key in keys]


def take_all(engine: Engine, *keys: str, **options: Any) -> list[Grant]:
    got = engine.locker.claim_all(asks(engine, *keys, **options))
    assert isinstance(got, list), got
    return got


def free_keys(engine: Engine, *keys: str) -> list[str]:
    return [key for key in keys if engine.store.inner.peek(key) is None]


# -- claims ----------------------------------------------------------------------------------


def test_all_leases_are_kept_and_told(either: Engine) -> None:
    grants = take_all(either, "a", "b", "c")

    assert [told.key for told in either.told(Acquired)] == ["a", "b", "c"]
    assert len(either.keeper) == 3
    either.move(100)
    assert [grant.lease.lost for grant in grants] == [False] * 3


def test_several_keys_are_one_call_to_the_store(engine: Engine) -> None:
    grants = take_all(engine, "a", "b")

    engine.locker.release_all([(grant, None) for grant in grants])

    assert engine.store.calls == ["acquire_all", "release_all"]


def test_where_one_is_taken_none_is_held_and_nothing_is_told(either: Engine) -> None:
    either.hold("b", task_id="other")

    got = either.locker.claim_all(asks(either, "a", "b", "c", at_least=60.0))

    assert isinstance(got, Refused)
    assert (got.index, got.held.key) == (1, "b")
    assert free_keys(either, "a", "b", "c") == ["a", "c"]
    assert len(either.keeper) == 0
    assert either.facts == []


def test_a_single_key_is_claimed_as_any(engine: Engine) -> None:
    (grant,) = take_all(engine, "a")

    got = engine.locker.claim_all(asks(engine, "a"))

    assert isinstance(got, Refused)
    assert got.held.holder == grant.lease.holder
    assert engine.store.calls == ["acquire", "acquire"]


def test_each_ceiling_shortens_its_own_lease(engine: Engine) -> None:
    first, second = asks(engine, "a", at_most=5) + asks(engine, "b")
    got = engine.locker.claim_all([first, second])
    assert isinstance(got, list)

    engine.move(6)

    assert [grant.lease.lost for grant in got] == [True, False]


@pytest.mark.parametrize("how", [FaultyStore.refuse, FaultyStore.lose_answer])
def test_claims_without_an_answer_are_all_taken_back(
    either: Engine, how: Callable[..., None]
) -> None:
    how(either.store, "acquire_all", "acquire")

    with pytest.raises(StoreUnavailable):
        either.locker.claim_all(asks(either, "a", "b"))
    either.settle()

    assert len(either.told(StoreFailed)) == 1
    assert free_keys(either, "a", "b") == ["a", "b"]
    assert len(either.keeper) == 0


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: type(stop).__name__)
def test_a_stop_that_falls_into_the_call_leaves_no_key_taken(
    either: Engine, stop: BaseException
) -> None:
    either.store.lose_answer("acquire_all", "acquire", error=stop)

    with pytest.raises(type(stop)):
        either.locker.claim_all(asks(either, "a", "b"))
    either.settle()

    assert free_keys(either, "a", "b") == ["a", "b"]


def test_grants_that_never_reached_their_claimant_are_all_undone(engine: Engine) -> None:
    claims = [grant.ask.claim for grant in take_all(engine, "a", "b")]

    engine.locker.abandon(*claims)
    engine.settle()

    assert free_keys(engine, "a", "b") == ["a", "b"]
    assert len(engine.keeper) == 0


def test_an_answer_that_comes_after_the_leases_is_none(engine: Engine) -> None:
    engine.store.slow("acquire_all", seconds=31)

    with pytest.raises(StoreUnavailable, match="after the lease"):
        engine.locker.claim_all(asks(engine, "a", "b"))

    assert len(engine.keeper) == 0
    assert engine.told(Acquired) == []


# -- what is kept for a message --------------------------------------------------------------


def left_to_heirs(engine: Engine, *keys: str) -> None:
    grants = take_all(engine, *keys)
    end = End(heir=HEIR, heir_ttl=100.0)
    engine.locker.release_all([(grant, end) for grant in grants])
    engine.facts.clear()


def test_a_message_whose_lease_has_lapsed_keeps_none_of_the_others(either: Engine) -> None:
    """Two of them, of which each has lapsed elsewhere, would keep each other out."""
    left_to_heirs(either, "a", "b", "c")
    either.store.free("b", HEIR)
    either.hold("b", task_id="other")

    got = either.locker.claim_all(asks(either, "a", "b", "c", heir_of=HEIR))

    assert isinstance(got, Refused)
    assert got.held.met is Met.OTHER
    assert free_keys(either, "a", "b", "c") == ["a", "c"]


def test_heirs_are_given_up_later_where_the_store_does_not_answer(engine: Engine) -> None:
    left_to_heirs(engine, "a", "b")
    engine.store.free("b", HEIR)
    engine.hold("b", task_id="other")
    engine.store.refuse("free", times=1)

    engine.locker.claim_all(asks(engine, "a", "b", heir_of=HEIR))
    engine.settle()

    assert free_keys(engine, "a") == ["a"]


def test_a_message_that_waits_for_its_own_run_keeps_what_was_left_to_it(either: Engine) -> None:
    left_to_heirs(either, "a", "b")
    either.store.free("b", HEIR)
    either.hold("b", task_id="id-1")

    got = either.locker.claim_all(asks(either, "a", "b", heir_of=HEIR))

    assert isinstance(got, Refused)
    assert got.held.met is Met.TASK
    assert free_keys(either, "a") == []


def test_all_that_was_left_is_taken_over_together(either: Engine) -> None:
    left_to_heirs(either, "a", "b")

    grants = take_all(either, "a", "b", heir_of=HEIR)

    assert len(grants) == 2


# -- waits -----------------------------------------------------------------------------------


def test_a_waiter_gets_all_keys_when_the_last_one_is_free(engine: Engine) -> None:
    engine.hold("a", ttl=3.0)
    engine.hold("b", ttl=7.0)

    got = engine.locker.wait_all(asks(engine, "a", "b"), 20.0)

    assert isinstance(got, list)
    (first, _) = engine.told(Acquired)
    assert 7.0 <= first.waited <= 8.0


def test_a_waiter_gives_up_with_the_key_that_is_taken(engine: Engine) -> None:
    engine.hold("b")

    got = engine.locker.wait_all(asks(engine, "a", "b"), 5.0)

    assert isinstance(got, Refused)
    assert got.held.key == "b"
    assert free_keys(engine, "a") == ["a"]


def test_a_waiter_polls_a_store_without_a_watch(either: Engine) -> None:
    either.store.lacks = {*either.store.lacks, Feature.WATCH}
    either.hold("a", ttl=3.0)

    got = either.locker.wait_all(asks(either, "a", "b"), 20.0)

    assert isinstance(got, list)


def test_a_waiter_does_not_wait_for_whom_the_caller_names(engine: Engine) -> None:
    engine.hold("b", task_id="other")

    def but_for(held: Held) -> bool:
        return held.holder.startswith("other#")

    got = engine.locker.wait_all(asks(engine, "a", "b"), 20.0, but_for=but_for)

    assert isinstance(got, Refused)
    assert engine.store.calls.count("acquire_all") == 1


# -- releases --------------------------------------------------------------------------------


def test_all_are_given_back_and_told(either: Engine) -> None:
    grants = take_all(either, "a", "b")

    either.locker.release_all([(grant, None) for grant in grants])

    assert free_keys(either, "a", "b") == ["a", "b"]
    assert [(told.key, told.in_time) for told in either.told(Released)] == [
        ("a", True),
        ("b", True),
    ]
    assert len(either.keeper) == 0


def test_one_that_was_lost_is_told_as_such(engine: Engine) -> None:
    first, second = asks(engine, "a", at_most=5) + asks(engine, "b")
    got = engine.locker.claim_all([first, second])
    assert isinstance(got, list)
    engine.move(6)

    engine.locker.release_all([(grant, None) for grant in got])

    assert [told.in_time for told in engine.told(Released)] == [False, True]


@pytest.mark.parametrize("how", [FaultyStore.refuse, FaultyStore.lose_answer])
def test_releases_without_an_answer_are_tried_again(
    either: Engine, how: Callable[..., None]
) -> None:
    grants = take_all(either, "a", "b")
    how(either.store, "release_all", "release", times=2)

    either.locker.release_all([(grant, None) for grant in grants])
    either.store.heal()
    either.settle()

    assert len(either.told(StoreFailed)) == 1
    assert free_keys(either, "a", "b") == ["a", "b"]


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: type(stop).__name__)
def test_a_stop_that_falls_into_the_release_leaves_no_key_taken(
    either: Engine, stop: BaseException
) -> None:
    grants = take_all(either, "a", "b")
    either.store.refuse("release_all", "release", error=stop, times=1)

    with pytest.raises(type(stop)):
        either.locker.release_all([(grant, None) for grant in grants])
    either.settle()

    assert free_keys(either, "a", "b") == ["a", "b"]


def test_a_release_that_is_asked_for_again_frees_what_is_left(engine: Engine) -> None:
    """Something fell in between, and the caller asks once more."""
    grants = take_all(engine, "a", "b")
    engine.locker.release(grants[0])

    engine.locker.release_all([(grant, None) for grant in grants])

    assert free_keys(engine, "a", "b") == ["a", "b"]


def test_the_end_of_the_run_is_recorded_beside_the_key_that_says_so(either: Engine) -> None:
    first, second = take_all(either, "a", "b", publication="p")
    end = End(publication="p", remember=60.0)

    either.locker.release_all([(first, end), (second, None)])
    either.locker.told(first)
    either.move(2)

    copy = either.claim("a", publication="p", copy_since="")
    got = either.store.inner.acquire(copy)
    assert isinstance(got, Held)
    assert got.met is Met.DONE
