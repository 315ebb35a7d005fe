"""Completions: told in batches, after what they depend on, and at once as the process leaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from celery_lock.app import pool_processes
from celery_lock.engine.completions import BATCH, FOR, WITHIN, send_last
from celery_lock.engine.locker import Ask, Grant
from celery_lock.errors import StoreUnavailable
from celery_lock.events import StoreFailed
from celery_lock.model import Completion, End, Feature, Held, Lease, Met

from .engine import SUBJECT, Engine
from .forking import holds_in_a_child

DOWN = StoreUnavailable("memory://", "no answer")


def run(engine: Engine, publication: str = "p1", **options: Any) -> Grant:
    """Run a message, and give its key back; it is not told yet."""
    grant = engine.take(publication=publication)
    end = End(publication=publication, remember=100.0, **options)
    engine.locker.release(grant, end)
    return grant


def copy_meets(engine: Engine, publication: str = "p1") -> Met | None:
    claim = engine.claim(publication=publication, copy_since="")
    got = engine.store.inner.acquire(claim)
    if isinstance(got, Lease):
        engine.store.inner.release(got)
        return None
    return got.met


def batches(engine: Engine) -> list[int]:
    return [len(asked["completions"]) for asked in engine.store.asked("complete")]


# -- what is told, and when ------------------------------------------------------------------


def test_what_has_ended_is_a_completion_only_when_it_was_told(engine: Engine) -> None:
    grant = run(engine)
    engine.move(1)
    before = copy_meets(engine)

    engine.locker.told(grant)
    engine.move(1)

    assert (before, copy_meets(engine)) == (Met.ENDED, Met.DONE)


def test_a_completion_is_sent_within_a_second_and_not_at_once(engine: Engine) -> None:
    engine.locker.told(run(engine))

    engine.move(WITHIN - 0.1)
    before = batches(engine)
    engine.move(0.2)

    assert (before, batches(engine)) == ([], [1])
    assert WITHIN < 1


def test_what_the_release_did_not_record_is_not_told(engine: Engine) -> None:
    engine.locker.told(run(engine, if_met=True))
    plain = engine.take(publication="p2")
    engine.locker.release(plain)
    engine.locker.told(plain)
    heir = engine.take(publication="p3")
    engine.locker.release(heir, End(heir="id-1/queued/1", heir_ttl=5.0))
    engine.locker.told(heir)

    engine.move(2)

    assert batches(engine) == []


def test_what_a_copy_was_met_of_is_told(engine: Engine) -> None:
    grant = engine.take(publication="p1")
    assert copy_meets(engine) is Met.PUBLICATION
    engine.locker.release(grant, End(publication="p1", remember=100.0, if_met=True))

    engine.locker.told(grant)
    engine.move(1)

    assert copy_meets(engine) is Met.DONE


def test_an_ending_without_a_lease_is_told_too(engine: Engine) -> None:
    engine.locker.complete(Completion("k", "p1", 100.0), SUBJECT)

    engine.move(1)

    assert copy_meets(engine) is Met.DONE


def test_many_completions_are_few_round_trips(engine: Engine) -> None:
    for number in range(2 * BATCH + 1):
        engine.locker.complete(Completion("k", f"p{number}", 100.0), SUBJECT)
        engine.locker.complete(Completion("k", f"p{number}", 100.0), SUBJECT)

    engine.move(1)

    assert batches(engine) == [BATCH, BATCH, 1]
    assert len(engine.locker.completions) == 0


def test_a_store_that_remembers_no_copies_is_told_nothing(engine: Engine) -> None:
    engine.store.lacks = {Feature.COPIES}

    engine.locker.complete(Completion("k", "p1", 100.0), SUBJECT)
    engine.move(2)

    assert batches(engine) == []


# -- releases without an answer --------------------------------------------------------------


def test_a_release_that_is_still_to_be_answered_is_followed_by_its_completion(
    engine: Engine,
) -> None:
    grant = engine.take(publication="p1")
    assert copy_meets(engine) is Met.PUBLICATION
    engine.store.refuse("release", error=DOWN)
    engine.locker.release(grant, End(publication="p1", remember=100.0, if_met=True))
    engine.locker.told(grant)
    engine.move(2)
    before = batches(engine)

    engine.store.heal()
    engine.move(2)

    assert (before, batches(engine)) == ([], [1])
    assert copy_meets(engine) is Met.DONE


def test_one_whose_record_is_certain_is_told_though_its_release_is_never_answered(
    engine: Engine,
) -> None:
    engine.store.refuse("release", error=DOWN)
    engine.locker.told(run(engine))

    engine.move(40)

    assert copy_meets(engine) is Met.DONE


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_a_stop_that_falls_into_the_release_costs_no_completion(
    engine: Engine, stop: BaseException
) -> None:
    engine.store.lose_answer("release", error=stop, times=1)
    grant = engine.take(publication="p1")
    assert copy_meets(engine) is Met.PUBLICATION
    end = End(publication="p1", remember=100.0, if_met=True)
    with pytest.raises(type(stop)):
        engine.locker.release(grant, end)

    engine.locker.told(grant)
    engine.move(2)

    assert copy_meets(engine) is Met.DONE


# -- a store without an answer ---------------------------------------------------------------


def test_a_completion_without_an_answer_is_sent_again_and_reported_once(engine: Engine) -> None:
    engine.locker.told(run(engine))
    engine.store.refuse("complete", error=DOWN)
    engine.move(20)
    engine.store.heal()

    engine.move(2)

    (failed,) = [fact for fact in engine.told(StoreFailed) if fact.call == "complete"]
    assert (failed.key, failed.task_id, failed.answer) == ("k", "id-1", "retry")
    assert copy_meets(engine) is Met.DONE
    assert len(engine.locker.completions) == 0


def test_nobody_tries_for_ever(engine: Engine) -> None:
    engine.store.refuse("complete", error=DOWN)
    engine.locker.told(run(engine))

    engine.move(FOR + 5)
    tried = len(batches(engine))
    engine.move(60)

    assert len(batches(engine)) == tried
    assert len(engine.locker.completions) == 0


@pytest.mark.parametrize("error", [DOWN, KeyboardInterrupt()], ids=repr)
def test_what_got_no_answer_is_not_forgotten(engine: Engine, error: BaseException) -> None:
    engine.locker.told(run(engine))
    engine.store.refuse("complete", error=error, times=1)
    with suppress(KeyboardInterrupt):
        engine.locker.completions.send_now()

    engine.locker.completions.send_now()

    assert copy_meets(engine) is Met.DONE


# -- processes that leave, and that are forked -----------------------------------------------


@pytest.mark.parametrize("leave", [send_last, pool_processes.end_child])
def test_a_process_that_leaves_tells_at_once(engine: Engine, leave: Callable[[], object]) -> None:
    engine.locker.told(run(engine))

    leave()

    assert copy_meets(engine) is Met.DONE


def test_a_child_begins_with_none_of_its_parents_completions(engine: Engine) -> None:
    engine.locker.told(run(engine))

    def tells_nothing() -> bool:
        send_last()
        return batches(engine) == []

    assert holds_in_a_child(tells_nothing)


# -- who waits -------------------------------------------------------------------------------


def test_who_waits_is_answered_at_once_when_its_message_was_completed(engine: Engine) -> None:
    engine.hold(ttl=60)
    ask = Ask(engine.claim(publication="p1", copy_since=""), SUBJECT)

    def completes(call: Callable[[], Any]) -> None:
        engine.clock.move(1)
        engine.store.inner.complete([Completion("k", "p1", 100.0)])

    engine.store.instead("watch", do=completes)
    got = engine.locker.wait(ask, 60)

    assert isinstance(got, Held)
    assert got.done
    assert engine.clock() == 1001
