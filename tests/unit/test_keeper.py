"""The keeper: renewals in time and losses told once; by hand, and with its threads."""

from __future__ import annotations

import gc
import math
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from celery_lock import Lock
from celery_lock.app.locks import locks_of
from celery_lock.engine import alarm, keeper
from celery_lock.engine.alarm import Alarm
from celery_lock.engine.keeper import Keeper
from celery_lock.errors import StoreUnavailable
from celery_lock.model import Claim, Lease
from celery_lock.model.clock import Clock, steady
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.testing import FaultyStore, StoreCall

from .engine import Engine, locked
from .forking import holds_in_a_child
from .quiet_signals import nobody_else_connected

DOWN = StoreUnavailable("memory://", "no answer")
PATIENCE = 10.0
"""Seconds after which a thread that should have done something counts as hung."""


class Kept(keeper.Kept):
    """A lease in the keeper's hands, and what its holder hears of it."""

    def __init__(self, engine: Engine, key: str = "k", ttl: float = 30.0, **options: Any) -> None:
        at_most = options.pop("at_most", None)
        sent = engine.clock()
        super().__init__(engine.hold(key, task_id="id-1", ttl=ttl, **options), ttl)
        self.lease.arm(engine.clock, sent, ttl, at_most)
        self.losses: list[str] = []
        self.failures: list[Exception] = []
        engine.keeper.keep(self, engine.clock())

    def lost(self, reason: str) -> None:
        self.losses.append(reason)

    def failed(self, error: Exception) -> None:
        self.failures.append(error)


# -- renewals --------------------------------------------------------------------------------


def test_a_lease_is_renewed_every_third_of_its_ttl(engine: Engine) -> None:
    kept = Kept(engine, ttl=30)

    assert engine.keeper.renew() == engine.clock() + 10
    engine.clock.move(10)
    assert engine.keeper.renew() == engine.clock() + 10

    assert engine.store.calls.count("renew") == 1
    assert kept.lease.remaining() > 29


def test_a_lease_that_has_ended_is_no_work_for_the_renewal_though_nobody_has_told_it_yet(
    engine: Engine,
) -> None:
    """A greenlet that came back to it at once, for ever, would never let the other one tell it."""
    kept = Kept(engine, ttl=30)
    engine.clock.move(31)

    assert engine.keeper.renew() > engine.clock()

    assert kept.losses == []
    engine.keeper.notify_losses()
    assert kept.losses == ["expired"]


def test_a_lease_that_is_renewed_no_more_is_looked_after_until_it_ends(engine: Engine) -> None:
    """It may be forsaken yet, and a thread that waits for nothing would end before it hears it."""
    kept = Kept(engine, ttl=3, at_most=3)
    engine.clock.move(1)

    assert engine.keeper.renew() == kept.lease.deadline
    assert kept.due == math.inf


def test_a_body_of_ten_ttls_keeps_its_key(engine: Engine) -> None:
    kept = Kept(engine, ttl=3)

    engine.move(30)

    assert not kept.lease.lost
    assert kept.losses == kept.failures == []
    assert engine.holder_of() == "id-1"


def test_a_hundred_leases_are_renewed_in_one_round_trip(engine: Engine) -> None:
    for number in range(250):
        Kept(engine, f"k{number}")
    engine.clock.move(10)

    engine.keeper.renew()

    assert engine.store.calls.count("renew") == 3


def test_what_is_not_due_is_left_alone(engine: Engine) -> None:
    Kept(engine, "short", ttl=3)
    Kept(engine, "long", ttl=30)
    engine.clock.move(1)

    engine.keeper.renew()

    (asked,) = engine.store.asked("renew")
    assert [lease.key for lease, _ in asked["renewals"]] == ["short"]


def test_a_renewal_leaves_time_for_another_try(engine: Engine) -> None:
    Kept(engine, "long", ttl=30)
    engine.clock.move(9)
    Kept(engine, "short", ttl=3)
    engine.clock.move(1)

    engine.keeper.renew()

    asked = engine.store.asked("renew")[-1]
    assert len(asked["renewals"]) == 2
    assert asked["within"] == pytest.approx(0.5)


def test_a_lost_lease_is_no_reason_to_hurry(engine: Engine) -> None:
    Kept(engine, "long", ttl=30)
    Kept(engine, "short", ttl=3)
    engine.clock.move(10)

    engine.keeper.renew()

    assert engine.store.asked("renew")[-1]["within"] == pytest.approx(5)


def test_a_slow_acquire_does_not_cost_the_lease_its_first_renewal(engine: Engine) -> None:
    lease = engine.hold(ttl=3)
    sent = engine.clock()
    engine.clock.move(2.5)
    lease.arm(engine.clock, sent, 3)
    engine.keeper.keep(keeper.Kept(lease, 3), engine.clock())

    engine.move(10)

    assert not lease.lost


def test_a_lease_near_its_ceiling_is_renewed_up_to_it_and_no_more(engine: Engine) -> None:
    kept = Kept(engine, ttl=3, at_most=5)

    engine.move(4.9)
    assert kept.losses == []
    renewals = engine.store.calls.count("renew")
    engine.move(20)

    assert kept.losses == ["at_most"]
    assert engine.store.calls.count("renew") == renewals
    assert engine.holder_of() is None


def test_a_dropped_lease_is_renewed_no_more(engine: Engine) -> None:
    kept = Kept(engine, ttl=3)

    engine.keeper.drop(kept)
    engine.move(5)

    assert len(engine.keeper) == 0
    assert engine.store.calls.count("renew") == 0
    assert kept.losses == []


def test_dropping_what_is_not_there_is_nothing(engine: Engine) -> None:
    kept = Kept(engine)
    engine.keeper.drop(kept)

    assert engine.keeper.drop(kept)
    engine.keeper.forget("nobody")

    assert engine.keeper.holders("k") == []


# -- no answer -------------------------------------------------------------------------------


def test_a_renewal_without_an_answer_is_tried_again_soon(engine: Engine) -> None:
    kept = Kept(engine, ttl=12)
    engine.store.refuse("renew", error=DOWN)
    engine.clock.move(4)

    assert engine.keeper.renew() == engine.clock() + 1
    assert not kept.lease.lost
    engine.store.heal()
    engine.clock.move(1)
    engine.keeper.renew()

    assert kept.lease.remaining() > 11
    assert kept.failures == [DOWN]
    assert kept.losses == []


def test_one_of_a_batch_is_told_that_it_got_no_answer(engine: Engine) -> None:
    leases = [Kept(engine, f"k{number}") for number in range(5)]
    engine.store.refuse("renew", error=DOWN)
    engine.clock.move(10)

    engine.keeper.renew()

    assert sum(len(kept.failures) for kept in leases) == 1


def test_without_any_answer_a_lease_is_lost_at_its_deadline_and_not_before(engine: Engine) -> None:
    kept = Kept(engine, ttl=30)
    engine.store.refuse("renew", error=DOWN)
    deadline = kept.lease.deadline

    engine.move(deadline - engine.clock() - 0.01)
    assert kept.losses == []
    engine.move(0.02)

    assert kept.losses == ["expired"]
    assert len(engine.keeper) == 0


def test_a_lost_lease_is_not_renewed_though_the_store_would(engine: Engine) -> None:
    kept = Kept(engine, ttl=30)
    engine.clock.move(29.9)

    engine.keeper.renew()

    assert kept.lease.lost
    assert engine.store.calls.count("renew") == 0


def test_an_answer_after_the_deadline_revives_nothing(engine: Engine) -> None:
    kept = Kept(engine, ttl=30)
    engine.clock.move(10)

    engine.store.slow("renew", seconds=25)
    engine.keeper.renew()
    engine.keeper.notify_losses()

    assert kept.losses == ["expired"]
    assert kept.lease.lost


def test_a_renewal_whose_answer_was_lost_costs_nothing(engine: Engine) -> None:
    kept = Kept(engine, ttl=30)
    engine.store.lose_answer("renew", error=DOWN)
    engine.move(12)
    engine.store.heal()

    engine.move(100)

    assert kept.losses == []
    assert not kept.lease.lost


@pytest.mark.parametrize("garbage", [None, False, 0, "renewed"])
def test_an_outcome_that_is_none_neither_renews_nor_loses(engine: Engine, garbage: Any) -> None:
    kept = Kept(engine, ttl=30)
    deadline = kept.lease.deadline
    engine.store.instead("renew", do=lambda call: [garbage])
    engine.clock.move(10)

    again = engine.keeper.renew()

    assert kept.lease.deadline == deadline
    assert kept.losses == []
    assert again > engine.clock()


# -- losses ----------------------------------------------------------------------------------


def test_a_lease_that_the_store_gave_away_is_lost_at_once(engine: Engine) -> None:
    kept = Kept(engine, ttl=30)
    engine.free(kept.lease)
    engine.hold(task_id="thief")
    engine.clock.move(10)

    engine.keeper.renew()

    assert kept.losses == ["taken"]
    assert kept.lease.lost
    assert engine.holder_of() == "thief"


def test_one_lost_lease_of_a_batch_leaves_the_others(engine: Engine) -> None:
    first, second, third = (Kept(engine, key) for key in "abc")
    engine.free(second.lease)
    engine.clock.move(10)

    engine.keeper.renew()

    assert (first.losses, second.losses, third.losses) == ([], ["taken"], [])
    assert len(engine.keeper) == 2


def test_a_loss_is_told_once(engine: Engine) -> None:
    kept = Kept(engine, ttl=3)
    engine.clock.move(5)

    engine.keeper.notify_losses()
    engine.keeper.notify_losses()
    engine.keeper.renew()

    assert kept.losses == ["expired"]


def test_a_lease_released_while_its_renewal_was_under_way_is_not_lost(engine: Engine) -> None:
    kept = Kept(engine, ttl=30)
    engine.clock.move(10)

    def overtaken(call: Callable[[], Any]) -> Any:
        engine.keeper.drop(kept)
        engine.free(kept.lease)
        return call()

    engine.store.instead("renew", do=overtaken)
    engine.keeper.renew()

    assert kept.losses == []


def test_a_lease_released_before_its_renewal_was_answered_is_not_revived(engine: Engine) -> None:
    kept = Kept(engine, ttl=30)
    engine.clock.move(10)

    def overtaken(call: Callable[[], Any]) -> Any:
        outcomes = call()
        engine.keeper.drop(kept)
        kept.lease.lose("released")
        return outcomes

    engine.store.instead("renew", do=overtaken)
    engine.keeper.renew()

    assert kept.lease.lost
    assert kept.losses == []
    assert len(engine.keeper) == 0


def test_the_next_loss_is_known(engine: Engine) -> None:
    assert engine.keeper.notify_losses() == math.inf
    first = Kept(engine, "a", ttl=30)
    second = Kept(engine, "b", ttl=5)

    assert engine.keeper.notify_losses() == second.lease.deadline < first.lease.deadline


# -- a fork ----------------------------------------------------------------------------------


def test_a_forked_child_keeps_nothing_of_its_parents(engine: Engine) -> None:
    kept = Kept(engine, ttl=30)

    def nothing_is_kept() -> bool:
        engine.clock.move(10)
        return len(engine.keeper) == 0 and engine.keeper.renew() == math.inf

    assert holds_in_a_child(nothing_is_kept)
    assert holds_in_a_child(lambda: not engine.keeper.drop(kept))
    engine.move(40)
    assert not kept.lease.lost


# -- its threads -----------------------------------------------------------------------------
#
# They wait in real time, and look at the test's clock when they wake: a slow machine makes these
# tests slow, and never wrong.


class Heard(keeper.Kept):
    """A lease whose loss is heard of."""

    def __init__(self, lease: Lease, ttl: float, on_lost: Callable[[str], object]) -> None:
        super().__init__(lease, ttl)
        self.on_lost = on_lost

    def lost(self, reason: str) -> None:
        self.on_lost(reason)


class Running:
    """A keeper with its threads, and a store that tells of each renewal."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store = FaultyStore(MemoryStore(MemoryServer(clock)))
        self.store.instead("renew", do=self._renew)
        self.renewed = threading.Semaphore(0)
        self.keeper = Keeper(self.store, clock=clock)

    def _renew(self, call: StoreCall) -> Any:
        outcomes = call()
        self.renewed.release()
        return outcomes

    def keep(self, ttl: float, key: str = "k", on_lost: Callable[[str], object] = str) -> Lease:
        sent = self.clock()
        lease = self.store.acquire(Claim(key, "id-1#w#1#n", ttl))
        assert isinstance(lease, Lease)
        lease.arm(self.clock, sent, ttl)
        self.keeper.keep(Heard(lease, ttl, on_lost), self.clock())
        return lease

    def is_quiet(self) -> None:
        """Return when both threads wait for news."""
        until = steady() + PATIENCE
        while steady() < until:
            own = self.keeper._own.value
            if waits(own.losses) and waits(own.renewals):
                return
        raise AssertionError("they go on and on")


def waits(alarm: Alarm) -> bool:
    """Its thread waits for news."""
    with alarm._mutex:
        return len(alarm._changed._waiters) == 1  # type: ignore[attr-defined]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def running(clock: ManualClock) -> Running:
    return Running(clock)


def test_what_is_due_is_renewed_by_itself(running: Running, clock: ManualClock) -> None:
    lease = running.keep(0.03)
    clock.move(0.015)

    assert running.renewed.acquire(timeout=PATIENCE)
    assert not lease.lost


def test_a_shorter_lease_is_renewed_though_the_threads_await_a_longer_one(
    running: Running, clock: ManualClock
) -> None:
    running.keep(3600, "long")
    running.is_quiet()
    running.keep(0.03, "short")
    clock.move(0.015)

    assert running.renewed.acquire(timeout=PATIENCE)


def test_a_loss_is_told_while_the_store_hangs() -> None:
    running = Running(steady)
    go_on, told = threading.Event(), threading.Event()
    running.store.instead("renew", do=lambda call: go_on.wait(PATIENCE) and call())
    when: list[float] = []

    def lost(reason: str) -> None:
        when.append(steady())
        told.set()

    try:
        lease = running.keep(0.1, on_lost=lost)

        assert told.wait(PATIENCE)
        assert not go_on.is_set()
        assert when[0] >= lease.deadline
    finally:
        go_on.set()


def test_a_failure_of_the_keeper_itself_is_logged_and_survived(
    running: Running, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = threading.Event()
    monkeypatch.setattr("celery_lock.engine.alarm.write", lambda *args, **options: logged.set())
    running.store.refuse("renew", error=ValueError("garbage"), times=1)
    running.keep(0.03)
    clock.move(0.015)

    assert logged.wait(PATIENCE)
    running.keep(0.03, "another")
    clock.move(0.015)

    assert running.renewed.acquire(timeout=PATIENCE)


def test_there_are_two_threads_for_any_number_of_leases(running: Running) -> None:
    before = threading.active_count()

    for number in range(20):
        running.keep(60, f"k{number}")

    assert threading.active_count() <= before + 2


def test_a_child_starts_threads_of_its_own(running: Running, clock: ManualClock) -> None:
    parents = running.keep(60)

    def renews() -> bool:
        running.keep(0.03, "child's")
        clock.move(0.015)
        return running.renewed.acquire(timeout=4) and len(running.keeper) == 1

    assert holds_in_a_child(renews)
    assert not parents.lost
    assert len(running.keeper) == 1


def test_a_keeper_that_never_kept_anything_leaves_nothing_behind(clock: ManualClock) -> None:
    before = threading.active_count()

    keeper = weakref.ref(Keeper(MemoryStore(MemoryServer(clock)), clock=clock))
    gc.collect()

    assert threading.active_count() == before
    assert keeper() is None


def test_an_app_that_is_gone_leaves_neither_threads_nor_its_store_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fixture makes an app for each test; each had two threads, and a connection, for ever."""
    monkeypatch.setattr(alarm, "IDLE", 0.01)
    before = set(threading.enumerate())
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.lock_store = "memory://"

    @locked(app, Lock(ttl=0.1), name="t")
    def task() -> None: ...

    with nobody_else_connected():  # one that fails is in the log, with all that it saw
        task.apply()
    store = weakref.ref(locks_of(app).locker.store)
    begun = set(threading.enumerate()) - before
    assert {thread.name for thread in begun} == {"celery-lock-clock", "celery-lock-renewal"}

    del app, task
    for thread in begun:
        thread.join(PATIENCE)
    gc.collect()
    gc.collect()  # what only the app has known is garbage once the app is gone

    assert not any(thread.is_alive() for thread in begun)
    assert store() is None
