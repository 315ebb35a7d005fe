"""The engine: what a claim, a wait and a release do when anything around them goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from celery_lock.engine.locker import LOOK_AGAIN, Ask, Grant, Locker
from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.events import Acquired, Lost, Observers, Released, StoreFailed
from celery_lock.model import Feature, Held, Lease
from celery_lock.testing import FaultyStore, StoreCall

from .engine import SUBJECT, Engine
from .forking import holds_in_a_child

DOWN = StoreUnavailable("memory://", "no answer")
STOPS = (SoftTimeLimitExceeded(), KeyboardInterrupt(), SystemExit(1), MemoryError())


# -- a claim ---------------------------------------------------------------------------------


def test_a_granted_claim_is_kept_and_told(engine: Engine) -> None:
    grant = engine.take()

    (told,) = engine.told(Acquired)
    assert (told.key, told.task_id, told.token) == ("k", "id-1", grant.lease.token)
    assert len(engine.keeper) == 1
    assert grant.lease.remaining() > 29


def test_a_taken_key_is_answered_with_its_holder_and_nothing_is_told(engine: Engine) -> None:
    engine.hold(task_id="other")

    got = engine.locker.claim(Ask(engine.claim(), SUBJECT))

    assert isinstance(got, Held)
    assert got.holder.startswith("other#")
    assert engine.facts == []
    assert len(engine.keeper) == 0


def test_two_claims_of_one_key_in_one_process_are_two(engine: Engine) -> None:
    first = engine.take()
    second = engine.locker.claim(Ask(engine.claim(), SUBJECT))

    assert isinstance(second, Held)
    engine.move(100)
    assert not first.lease.lost


def test_a_ceiling_below_the_ttl_shortens_what_the_store_is_asked_for(engine: Engine) -> None:
    engine.take(at_most=5)

    engine.clock.move(5.2)

    assert engine.holder_of() is None


@pytest.mark.parametrize("error", [DOWN, StoreError("garbage")])
@pytest.mark.parametrize("how", [FaultyStore.refuse, FaultyStore.lose_answer])
def test_a_claim_without_an_answer_is_taken_back(
    engine: Engine, error: StoreError, how: Callable[..., None]
) -> None:
    how(engine.store, "acquire", error=error)

    with pytest.raises(StoreError):
        engine.locker.claim(Ask(engine.claim(), SUBJECT, on_error="requeue"))
    engine.settle()

    (told,) = engine.told(StoreFailed)
    assert (told.call, told.answer, told.key) == ("acquire", "requeue", "k")
    assert engine.holder_of() is None
    assert len(engine.keeper) == 0


def test_a_claim_that_arrives_after_it_was_taken_back_is_refused(engine: Engine) -> None:
    claim = engine.claim()
    engine.store.refuse("acquire", error=DOWN)
    with pytest.raises(StoreError):
        engine.locker.claim(Ask(claim, SUBJECT))
    engine.settle()

    late = engine.store.acquire(claim)

    assert isinstance(late, Held)
    assert engine.holder_of() is None


def test_taking_back_goes_on_while_the_store_is_down(engine: Engine) -> None:
    engine.store.lose_answer("acquire", error=DOWN)
    engine.store.refuse("undo", error=DOWN)
    with pytest.raises(StoreError):
        engine.locker.claim(Ask(engine.claim(), SUBJECT))
    engine.move(5)
    assert engine.holder_of() == "id-1"

    engine.settle()

    assert engine.holder_of() is None


def test_taking_back_takes_nothing_from_who_got_the_key_meanwhile(engine: Engine) -> None:
    engine.store.refuse("acquire", error=DOWN)
    with pytest.raises(StoreError):
        engine.locker.claim(Ask(engine.claim(), SUBJECT))
    engine.store.heal()
    engine.hold(task_id="other")

    engine.settle()

    assert engine.holder_of() == "other"


@pytest.mark.parametrize("stop", STOPS, ids=repr)
@pytest.mark.parametrize("how", [FaultyStore.refuse, FaultyStore.lose_answer])
def test_a_stop_that_falls_into_a_claim_is_passed_on_and_the_claim_taken_back(
    engine: Engine, stop: BaseException, how: Callable[..., None]
) -> None:
    how(engine.store, "acquire", error=stop)

    with pytest.raises(type(stop)):
        engine.locker.claim(Ask(engine.claim(), SUBJECT))
    engine.settle()

    assert engine.holder_of() is None
    assert len(engine.keeper) == 0


@pytest.mark.parametrize("garbage", [None, True, "yes", {"token": 5}])
def test_an_answer_that_is_none_is_an_error_and_the_claim_taken_back(
    engine: Engine, garbage: Any
) -> None:
    engine.store.instead("acquire", do=lambda call: call() and garbage)

    with pytest.raises(AttributeError):
        engine.locker.claim(Ask(engine.claim(), SUBJECT))
    engine.settle()

    assert engine.holder_of() is None


def test_a_lease_that_was_over_before_its_answer_came_is_no_lease(engine: Engine) -> None:
    engine.store.slow("acquire", seconds=3)

    with pytest.raises(StoreUnavailable, match="after the lease's 3 s had passed"):
        engine.locker.claim(Ask(engine.claim(ttl=3), SUBJECT, on_error="requeue"))

    assert engine.told(Acquired) == []
    engine.hold(task_id="other")
    engine.settle()
    assert engine.holder_of() == "other"


def test_an_observer_that_raises_costs_nobody_the_lease(engine: Engine) -> None:
    def broken(fact: Any) -> None:
        raise ValueError

    engine.locker.observers.add(broken)

    assert not engine.take().lease.lost


def test_a_stop_that_falls_into_an_observer_leaves_no_lease_behind(engine: Engine) -> None:
    def stopped(fact: Any) -> None:
        raise SystemExit

    engine.locker.observers.add(stopped)
    with pytest.raises(SystemExit):
        engine.take()
    engine.settle()

    assert len(engine.keeper) == 0
    assert engine.holder_of() is None


# -- a release -------------------------------------------------------------------------------


def test_a_release_frees_the_key_and_tells_how_long_it_was_held(engine: Engine) -> None:
    grant = engine.take()
    engine.move(7)

    engine.locker.release(grant)

    (told,) = engine.told(Released)
    assert (told.in_time, told.held) == (True, pytest.approx(7, abs=0.1))
    assert engine.holder_of() is None
    assert len(engine.keeper) == 0
    assert grant.lease.lost


@pytest.mark.parametrize("how", [FaultyStore.refuse, FaultyStore.lose_answer])
def test_a_release_without_an_answer_raises_nothing_and_is_tried_again(
    engine: Engine, how: Callable[..., None]
) -> None:
    grant = engine.take()
    how(engine.store, "release", error=DOWN)

    engine.locker.release(grant)
    engine.settle()

    (told,) = engine.told(StoreFailed)
    assert (told.call, told.answer) == ("release", "retry")
    assert engine.holder_of() is None
    assert len(engine.keeper) == 0


def test_a_release_is_given_up_when_the_lease_has_ended_by_itself(engine: Engine) -> None:
    grant = engine.take()
    engine.store.refuse("release", error=DOWN)
    engine.locker.release(grant)

    engine.move(40)
    tries = engine.store.calls.count("release")
    engine.move(40)

    assert tries > 20
    assert engine.store.calls.count("release") == tries


@pytest.mark.parametrize("stop", STOPS, ids=repr)
@pytest.mark.parametrize("how", [FaultyStore.refuse, FaultyStore.lose_answer])
def test_a_stop_that_falls_into_a_release_is_passed_on_and_the_key_freed(
    engine: Engine, stop: BaseException, how: Callable[..., None]
) -> None:
    grant = engine.take()
    how(engine.store, "release", error=stop)

    with pytest.raises(type(stop)):
        engine.locker.release(grant)
    engine.settle()

    assert engine.holder_of() is None


def test_a_release_may_be_called_again(engine: Engine) -> None:
    grant = engine.take()
    engine.store.lose_answer("release", error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        engine.locker.release(grant)
    engine.store.heal()

    engine.locker.release(grant)

    (told,) = engine.told(Released)
    assert told.in_time
    assert engine.told(Lost) == []


def test_a_strangers_release_frees_nothing(engine: Engine) -> None:
    grant = engine.take()
    engine.clock.move(31)
    engine.hold(task_id="other")

    engine.locker.release(grant)

    assert engine.holder_of() == "other"


def test_a_child_that_the_body_forked_gives_nothing_back(engine: Engine) -> None:
    grant = engine.take()

    def gives_nothing_back() -> bool:
        engine.locker.release(grant)
        return "release" not in engine.store.calls

    assert holds_in_a_child(gives_nothing_back)
    engine.move(100)
    assert not grant.lease.lost


def test_a_lease_that_ended_a_moment_ago_is_told_as_lost_once_and_not_in_time(
    engine: Engine,
) -> None:
    grant = engine.take()
    engine.clock.move(29.8)

    engine.locker.release(grant)
    engine.keeper.notify_losses()

    assert [fact.reason for fact in engine.told(Lost)] == ["expired"]
    assert [fact.in_time for fact in engine.told(Released)] == [False]
    assert engine.holder_of() is None


def test_a_loss_is_told_with_the_task_it_happened_to(engine: Engine) -> None:
    grant = engine.take()
    engine.free(grant.lease)

    engine.move(11)

    (told,) = engine.told(Lost)
    assert (told.task, told.task_id, told.reason) == ("shop.charge", "id-1", "taken")


def test_a_renewal_without_an_answer_is_told_with_the_task_it_was_for(engine: Engine) -> None:
    engine.take()
    engine.store.refuse("renew", error=DOWN)

    engine.move(10.5)

    told = engine.told(StoreFailed)[0]
    assert (told.task_id, told.call, told.answer, told.url) == (
        "id-1",
        "renew",
        "retry",
        "memory://",
    )


# -- a wait ----------------------------------------------------------------------------------


def test_a_free_key_is_not_waited_for(engine: Engine) -> None:
    got = engine.locker.wait(Ask(engine.claim(), SUBJECT), 10)

    assert isinstance(got, Grant)
    assert engine.clock() == 1000
    assert "watch" not in engine.store.calls


def test_a_wait_ends_when_the_holder_is_never_heard_of_again(engine: Engine) -> None:
    engine.hold(ttl=5)

    got = engine.locker.wait(Ask(engine.claim(), SUBJECT), 60)

    assert isinstance(got, Grant)
    assert engine.clock() - 1000 == pytest.approx(5, abs=0.1)
    (told,) = engine.told(Acquired)
    assert told.waited == pytest.approx(5, abs=0.1)


def test_a_wait_is_woken_by_the_store(engine: Engine) -> None:
    other = engine.hold()

    def freed(call: Callable[[], Any]) -> None:
        engine.clock.move(0.25)
        engine.free(other)

    engine.store.instead("watch", do=freed)

    assert isinstance(engine.locker.wait(Ask(engine.claim(), SUBJECT), 60), Grant)
    assert engine.clock() == 1000.25


def test_a_lost_wake_up_costs_a_second(engine: Engine) -> None:
    other = engine.hold()
    naps: list[float] = []

    def sleep_for_the_whole_time(call: StoreCall) -> None:
        naps.append(call.arguments["timeout"])
        if len(naps) == 1:
            engine.free(other)
        engine.clock.move(naps[-1])

    engine.store.instead("watch", do=sleep_for_the_whole_time)

    assert isinstance(engine.locker.wait(Ask(engine.claim(), SUBJECT), 60), Grant)
    assert naps == [LOOK_AGAIN]


def test_a_wait_gives_up_after_max_wait_with_a_last_try(engine: Engine) -> None:
    engine.hold(ttl=60)

    got = engine.locker.wait(Ask(engine.claim(), SUBJECT), 2.5)

    assert isinstance(got, Held)
    assert engine.clock() == pytest.approx(1002.5)
    assert engine.store.calls.count("acquire") == 4
    assert engine.store.calls[-1] == "acquire"


def test_without_a_watch_it_polls_ever_more_slowly(engine: Engine) -> None:
    store = FaultyStore(engine.store.inner, lacks={Feature.WATCH})
    naps: list[float] = []

    def pause(seconds: float) -> None:
        naps.append(seconds)
        engine.clock.move(seconds)

    locker = Locker(store, clock=engine.clock, pause=pause, threads=False)
    engine.hold(ttl=60)

    got = locker.wait(Ask(engine.claim(), SUBJECT), 5)

    assert isinstance(got, Held)
    assert naps[:3] == [pytest.approx(0.02), pytest.approx(0.03), pytest.approx(0.045)]
    assert max(naps) == pytest.approx(0.5)
    assert sum(naps) == pytest.approx(5)


def test_a_watch_that_breaks_ends_no_wait(engine: Engine) -> None:
    """A proxy or a fail-over closes the one connection; the next claim has another."""
    other = engine.hold(ttl=60)

    def breaks(call: StoreCall) -> None:
        engine.clock.move(0.25)
        if engine.store.calls.count("watch") == 3:
            engine.free(other)
        raise DOWN

    engine.store.instead("watch", do=breaks)

    assert isinstance(engine.locker.wait(Ask(engine.claim(), SUBJECT), 60), Grant)
    assert engine.store.calls.count("acquire") == 4
    assert 1000.75 < engine.clock() < 1002


def test_a_watch_that_is_forbidden_ends_a_wait(engine: Engine) -> None:
    engine.hold(ttl=60)
    engine.store.refuse("watch", error=StoreError("no permission"))

    with pytest.raises(StoreError, match="no permission"):
        engine.locker.wait(Ask(engine.claim(), SUBJECT), 60)


def test_a_store_error_ends_a_wait(engine: Engine) -> None:
    engine.hold(ttl=60)

    def then_down(call: Callable[[], Any]) -> None:
        engine.store.lose_answer("acquire", error=DOWN)
        engine.clock.move(1)

    engine.store.instead("watch", do=then_down)

    with pytest.raises(StoreUnavailable):
        engine.locker.wait(Ask(engine.claim(), SUBJECT), 60)
    engine.settle()
    assert engine.holder_of() == "other"


@pytest.mark.parametrize("call", ["watch", "acquire"])
def test_a_stop_that_falls_into_a_wait_leaves_nothing_behind(engine: Engine, call: str) -> None:
    engine.hold(ttl=5)
    seen: list[int] = []

    def later(go: Callable[[], Any]) -> Any:
        seen.append(1)
        if len(seen) < 3:
            return go()
        go()
        raise SoftTimeLimitExceeded

    engine.store.instead(call, do=later)
    with pytest.raises(SoftTimeLimitExceeded):
        engine.locker.wait(Ask(engine.claim(), SUBJECT), 60)
    engine.settle()
    engine.move(5)

    assert engine.holder_of() is None
    assert len(engine.keeper) == 0


# -- a claim that was given up ---------------------------------------------------------------


def test_an_abandoned_grant_is_taken_back(engine: Engine) -> None:
    grant = engine.take()

    engine.locker.abandon(grant.ask.claim)
    engine.settle()

    assert engine.holder_of() is None
    assert len(engine.keeper) == 0


def test_abandoning_what_was_not_granted_costs_no_call(engine: Engine) -> None:
    engine.hold()
    claim = engine.claim()
    engine.locker.claim(Ask(claim, SUBJECT))
    calls = len(engine.store.calls)

    engine.locker.abandon(claim)
    engine.settle()

    assert len(engine.store.calls) == calls


# -- observers -------------------------------------------------------------------------------


def test_observers_are_told_in_the_order_in_which_they_came() -> None:
    told: list[str] = []
    observers = Observers(lambda fact: told.append("first"))
    observers.add(lambda fact: told.append("second"))

    observers.notify(Released(key="k", subject=SUBJECT, holder="h", token=1, held=0, in_time=True))

    assert told == ["first", "second"]


def test_an_observer_that_raises_keeps_nothing_from_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str] = []

    def broken(fact: Any) -> None:
        raise ValueError("no such channel")

    Observers(broken, lambda fact: told.append("second")).notify(
        Released(key="k", subject=SUBJECT, holder="h", token=1, held=0, in_time=True)
    )

    assert told == ["second"]
    assert "no such channel" in caplog.text


def test_an_observer_that_raises_keeps_nothing_from_the_next_though_no_line_can_be_written(
    no_line_can_be_written: None,
) -> None:
    told: list[Any] = []

    def broken(fact: Any) -> None:
        raise ValueError("no such channel")

    Observers(broken, told.append).notify(
        Released(key="k", subject=SUBJECT, holder="h", token=1, held=0, in_time=True)
    )

    assert len(told) == 1


def test_a_lease_remembers_nothing_of_the_store() -> None:
    assert Lease("k", "h", 1).remaining() > 1e9
