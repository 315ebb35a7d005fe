"""Pending calls: made until they are answered or nobody needs them; by hand, and on a thread."""

from __future__ import annotations

import math
import threading

import pytest

from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.engine.pending_calls import NOT_YET, SOON, PendingCalls, make_last
from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Claim
from celery_lock.stores.memory import MemoryStore
from celery_lock.testing import FaultyStore

from .engine import SUBJECT, Engine
from .forking import holds_in_a_child

DOWN = StoreUnavailable("memory://", "no answer")
PATIENCE = 10.0
"""Seconds after which a thread that should have done something counts as hung."""


def test_a_call_is_made_at_once(engine: Engine) -> None:
    made: list[float] = []
    engine.pending.add(lambda: made.append(engine.clock()), for_=30)

    engine.pending.make_due()
    engine.move(5)

    assert made == [1000.0]


def test_a_call_without_an_answer_is_made_every_second_until_nobody_needs_it(
    engine: Engine,
) -> None:
    tries: list[float] = []

    def make() -> None:
        tries.append(engine.clock() - 1000.0)
        raise DOWN

    engine.pending.add(make, for_=3)
    for _ in range(8):
        engine.pending.make_due()
        engine.clock.move(1)

    assert tries == [0, 1, 2]
    assert engine.pending.make_due() == math.inf


def test_a_process_that_leaves_makes_its_calls_once_more(engine: Engine) -> None:
    """A pool process is replaced after so many tasks; nobody else knows of its releases."""
    grant = engine.take()
    engine.store.refuse("release", times=1)
    engine.locker.release(grant)
    assert engine.holder_of() == "id-1"

    make_last()

    assert engine.holder_of() is None


def test_a_process_that_leaves_asks_no_second_time_where_nobody_answers(engine: Engine) -> None:
    """It has a few seconds."""
    made: list[str] = []

    def make() -> None:
        made.append("made")
        raise DOWN

    for _ in range(3):
        engine.pending.add(make, for_=30)
    make_last()

    assert made == ["made"]


def test_a_call_whose_time_has_not_come_is_made_again_soon(engine: Engine) -> None:
    tries: list[float] = []

    def make() -> object:
        tries.append(engine.clock() - 1000.0)
        return NOT_YET if len(tries) < 3 else None

    engine.pending.add(make, for_=30)
    engine.move(5)

    assert tries == pytest.approx([0, SOON, 2 * SOON], abs=0.01)


@pytest.mark.parametrize("error", [DOWN, StoreError("no"), TypeError("garbage")])
def test_a_call_without_an_answer_holds_up_no_other(
    engine: Engine, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[int] = []

    def make() -> None:
        raise error

    engine.pending.add(make, for_=3)
    engine.pending.add(lambda: made.append(2), for_=3)
    for _ in range(5):
        engine.pending.make_due()
        engine.clock.move(1)

    assert made == [2]
    assert engine.pending.make_due() == math.inf
    assert ("garbage" in caplog.text) is isinstance(error, TypeError)


def test_a_call_whose_failure_cannot_be_logged_holds_up_no_other(
    engine: Engine, no_line_can_be_written: None
) -> None:
    made: list[int] = []

    def make() -> None:
        raise TypeError("garbage")

    engine.pending.add(make, for_=3)
    engine.pending.add(lambda: made.append(2), for_=3)
    engine.pending.make_due()

    assert made == [2]


def test_leases_are_renewed_before_a_call_is_made(engine: Engine) -> None:
    grant = engine.take(ttl=30)
    engine.pending.add(lambda: engine.clock.move(100), for_=3)
    engine.clock.move(10)
    left: list[float] = []
    engine.store.instead("renew", do=lambda call: left.append(grant.lease.remaining()) or call())

    engine.locker.move_on()

    assert left[0] > 0


def test_whether_the_last_call_was_answered_is_known(engine: Engine) -> None:
    assert not engine.pending.unanswered
    engine.store.refuse("undo", error=DOWN, times=1)
    engine.pending.add(lambda: engine.store.undo(engine.claim()), for_=30)

    engine.pending.make_due()
    assert engine.pending.unanswered
    engine.move(2)

    assert not engine.pending.unanswered


def test_a_forked_child_makes_none_of_its_parents_calls(engine: Engine) -> None:
    made: list[int] = []
    engine.pending.add(lambda: made.append(1), for_=30)

    def none_is_made() -> bool:
        return engine.pending.make_due() == math.inf and made == []

    assert holds_in_a_child(none_is_made)
    engine.pending.make_due()
    assert made == [1]


# -- its thread ------------------------------------------------------------------------------


def test_a_call_is_made_by_itself() -> None:
    made = threading.Event()

    PendingCalls().add(made.set, for_=30)

    assert made.wait(PATIENCE)


def test_a_call_that_hangs_holds_up_no_renewal() -> None:
    store = FaultyStore(MemoryStore())
    locker = Locker(store)
    hangs, go_on, renewed = threading.Event(), threading.Event(), threading.Event()
    store.instead("renew", do=lambda call: renewed.set() or call())

    def hang() -> None:
        hangs.set()
        go_on.wait(PATIENCE)

    try:
        locker.pending.add(hang, for_=30)
        assert hangs.wait(PATIENCE)
        grant = locker.claim(Ask(Claim("k", "id-1#w1#1#n", ttl=0.1), SUBJECT))

        assert isinstance(grant, Grant)
        assert renewed.wait(PATIENCE)
        assert not go_on.is_set()
    finally:
        go_on.set()
