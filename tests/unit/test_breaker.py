"""A store that hangs costs few callers their time, and is asked again as soon as it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celery_lock.engine.breaker import PAUSE
from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.engine.publishing import PublishersLeases
from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.events import StoreFailed
from celery_lock.model import Completion, Outcome
from celery_lock.testing.faults import StoreCall

from .engine import SUBJECT, Engine
from .forking import holds_in_a_child

pytestmark = pytest.mark.unit

DEADLINE = 2.0


def hang(
    engine: Engine,
    *names: Any,
    seconds: float = DEADLINE,
    times: int | None = None,
    why: str = "it gave no answer within 2 s",
) -> None:
    """Let calls end without an answer when their deadline has passed."""

    def hung(call: StoreCall) -> Any:
        within = call.arguments.get("within")
        engine.clock.move(seconds if within is None else min(within, seconds))
        raise StoreUnavailable(engine.store.url, why)

    engine.store.instead(*names, do=hung, times=times)


def claims(engine: Engine, count: int) -> float:
    """Claim so many keys; return the seconds for which somebody had to wait."""
    began = engine.clock()
    for number in range(count):
        with pytest.raises(StoreUnavailable):
            engine.take(f"k{number}")
    return engine.clock() - began


def test_of_a_hundred_claims_to_a_store_that_hangs_one_waits(engine: Engine) -> None:
    hang(engine)

    assert claims(engine, 100) == DEADLINE
    assert engine.store.calls.count("acquire") == 1


def test_who_is_refused_hears_why(engine: Engine) -> None:
    hang(engine)
    claims(engine, 1)

    with pytest.raises(StoreUnavailable) as refused:
        engine.take()

    assert "it gave no answer within 2 s, so it is not asked until" in str(refused.value)
    assert not refused.value.asked
    assert [fact.call for fact in engine.told(StoreFailed)] == ["acquire", "acquire"]


def test_who_is_refused_later_hears_what_the_last_probe_found(engine: Engine) -> None:
    hang(engine)
    claims(engine, 1)
    engine.store.heal()
    why = "none of its replicas has acknowledged"
    engine.store.refuse("renew", error=StoreUnavailable(engine.store.url, why))

    engine.move(PAUSE)

    with pytest.raises(StoreUnavailable, match=f"{why}, so it is not asked"):
        engine.take()


def test_in_ten_seconds_of_outage_all_callers_together_wait_once(engine: Engine) -> None:
    hang(engine)
    waited, until = 0.0, engine.clock() + 10

    while engine.clock() < until:
        waited += claims(engine, 10)
        engine.move(1)

    assert waited == DEADLINE


def test_the_first_grant_comes_soon_after_the_store(engine: Engine) -> None:
    hang(engine)
    claims(engine, 1)
    engine.move(7.3)
    engine.store.heal()
    back = engine.clock()

    engine.move(PAUSE)

    assert isinstance(engine.take(), Grant)
    assert engine.clock() - back < 1


def test_a_probe_takes_half_of_the_deadline_and_one_of_four_all_of_it(engine: Engine) -> None:
    hang(engine)
    claims(engine, 1)
    engine.store.heal("acquire")

    engine.move(8)

    asked = [call["within"] for call in engine.store.asked("renew")]
    assert asked[:5] == [1.0, 1.0, 1.0, 2.0, 1.0]


def test_a_store_that_answers_as_slowly_as_it_may_is_used_again(engine: Engine) -> None:
    hang(engine, times=1)
    claims(engine, 1)

    def slow(call: StoreCall) -> Any:
        if call.arguments.get("within", DEADLINE) < 1.5:
            engine.clock.move(call.arguments["within"])
            raise StoreUnavailable(engine.store.url, "too slow")
        engine.clock.move(1.5)
        return call()

    engine.store.instead("acquire", "renew", do=slow)

    engine.move(10)

    assert isinstance(engine.take(), Grant)


@pytest.mark.parametrize("error", [StoreError("wrong password"), None])
def test_a_store_that_fails_fast_is_asked_each_time(
    engine: Engine, error: StoreError | None
) -> None:
    engine.store.refuse("acquire", error=error)

    for _ in range(10):
        with pytest.raises(StoreError):
            engine.take()

    assert engine.store.calls.count("acquire") == 10


def test_a_store_that_needs_long_to_refuse_is_not_asked_for_each_task(engine: Engine) -> None:
    """Such as etcd, which computes the digest of a wrong password for each login."""
    wrong = StoreError("it does not know this password")

    def refuse(call: StoreCall) -> Any:
        engine.clock.move(DEADLINE / 5)
        raise wrong

    engine.store.instead("acquire", "renew", do=refuse)
    waited = 0.0

    for _ in range(10):
        began = engine.clock()
        for number in range(10):
            with pytest.raises(StoreError, match="it does not know this password"):
                engine.take(f"k{number}")
        waited += engine.clock() - began
        engine.move(1)

    assert waited == pytest.approx(DEADLINE / 5)
    engine.store.heal()
    engine.move(PAUSE)
    assert isinstance(engine.take(), Grant)


def test_a_store_that_refuses_soon_again_is_asked_each_time_again(engine: Engine) -> None:
    def refuse(call: StoreCall) -> Any:
        engine.clock.move(DEADLINE / 5)
        raise StoreError("a wrong password")

    engine.store.instead("acquire", do=refuse, times=1)
    with pytest.raises(StoreError):
        engine.take()
    engine.store.refuse("acquire", "renew", error=StoreError("a wrong password"))
    engine.move(PAUSE)

    for _ in range(10):
        with pytest.raises(StoreError):
            engine.take()

    assert engine.store.calls.count("acquire") == 11


def test_a_claim_that_was_not_made_is_not_undone(engine: Engine) -> None:
    hang(engine)
    claims(engine, 3)
    engine.settle()

    assert [call["claim"].key for call in engine.store.asked("undo")] == ["k0"]


def test_a_claim_that_was_executed_late_is_undone_as_soon_as_the_store_answers(
    engine: Engine,
) -> None:
    late: list[Callable[[], Any]] = []

    def hung(call: StoreCall) -> Any:
        late.append(call)
        engine.clock.move(DEADLINE)
        raise StoreUnavailable(engine.store.url, "no answer")

    hang(engine)
    engine.store.instead("acquire", do=hung, times=1)
    claims(engine, 1)
    engine.move(5)
    engine.store.heal()
    late[0]()
    assert engine.holder_of("k0")

    engine.move(PAUSE)

    assert engine.holder_of("k0") is None


def test_a_release_does_not_wait_for_a_store_that_hangs(engine: Engine) -> None:
    grants = [engine.take(f"held{number}") for number in range(10)]
    hang(engine)
    claims(engine, 1)
    began = engine.clock()

    engine.locker.release_all([(grant, None) for grant in grants[:5]])
    for grant in grants[5:]:
        engine.locker.release(grant)

    assert engine.clock() == began
    engine.settle()
    assert not any(engine.holder_of(f"held{number}") for number in range(10))


def test_releases_that_hang_are_found_out_as_well(engine: Engine) -> None:
    grants = [engine.take(f"held{number}") for number in range(10)]
    hang(engine)
    began = engine.clock()

    for grant in grants:
        engine.locker.release(grant)

    assert engine.clock() - began == DEADLINE


def test_several_releases_that_hang_are_found_out_as_well(engine: Engine) -> None:
    grants = [engine.take(f"held{number}") for number in range(4)]
    down = StoreUnavailable(engine.store.url, "no answer")

    def hung(call: StoreCall) -> Any:
        engine.clock.move(DEADLINE)
        return [down] * 2

    engine.store.instead("release_all", do=hung)
    engine.locker.release_all([(grant, None) for grant in grants[:2]])
    began = engine.clock()

    engine.locker.release_all([(grant, None) for grant in grants[2:]])

    assert engine.clock() == began


def test_a_renewal_is_never_refused_and_its_answer_opens_the_store(engine: Engine) -> None:
    grant = engine.take("held")
    hang(engine, times=1)
    claims(engine, 1)

    assert engine.locker.store.renew([(grant.lease, 30.0)]) == [Outcome.RENEWED]

    assert isinstance(engine.take(), Grant)


def test_a_body_that_runs_goes_on_until_its_deadline_and_hears_of_it_then(engine: Engine) -> None:
    grant = engine.take("held", ttl=9.0)
    hang(engine)
    claims(engine, 1)

    engine.move(5)
    assert grant.lease.reason is None

    engine.move(4)
    assert grant.lease.reason == "expired"


def test_a_lease_lives_on_if_the_store_comes_back_in_time(engine: Engine) -> None:
    grant = engine.take("held", ttl=9.0)
    hang(engine)
    engine.move(6)
    engine.store.heal()

    engine.move(30)

    assert grant.lease.reason is None


def test_a_publisher_does_not_wait_for_a_store_that_hangs(engine: Engine) -> None:
    hang(engine)
    claims(engine, 1)
    began = engine.clock()
    leases = PublishersLeases(engine.locker, SUBJECT, [engine.claim("k", unconfirmed=True)])

    with pytest.raises(StoreUnavailable):
        leases.take("send")

    assert engine.clock() == began
    engine.settle()
    assert not any(call["claim"].key == "k" for call in engine.store.asked("undo"))


def test_freeing_completing_and_looking_do_not_wait_either(engine: Engine) -> None:
    hang(engine)
    claims(engine, 1)
    began, store = engine.clock(), engine.locker.store

    for call in (
        lambda: store.free("k", "id-1#n#1#0"),
        lambda: store.peek("k"),
        lambda: store.undo(engine.claim()),
        lambda: store.complete([Completion("k", "p", 60.0)]),
        lambda: store.names("space"),
        lambda: store.keys("k"),
    ):
        with pytest.raises(StoreUnavailable):
            call()

    assert engine.clock() == began


def test_of_several_keys_that_are_claimed_one_by_one_the_first_is_undone(engine: Engine) -> None:
    """The store hangs for others after the first claim of a list was granted."""
    engine.store.lacks = {f for f in engine.store.features if f.value == "several"}
    asks = [Ask(engine.claim(key), SUBJECT) for key in ("a", "b")]

    def granted(call: StoreCall) -> Any:
        got = call()
        hang(engine)
        with pytest.raises(StoreUnavailable):
            engine.locker.store.peek("other")
        engine.store.heal()
        return got

    engine.store.instead("acquire", do=granted, times=1)

    with pytest.raises(StoreUnavailable):
        engine.locker.claim_all(asks)

    engine.settle()
    assert engine.holder_of("a") is None


def test_a_child_that_was_forked_finds_out_by_itself(engine: Engine) -> None:
    hang(engine, times=1)
    claims(engine, 1)

    assert holds_in_a_child(lambda: isinstance(engine.take(), Grant))


def test_a_process_that_leaves_asks_once_more(engine: Engine) -> None:
    grant = engine.take("held")
    hang(engine)
    claims(engine, 1)
    engine.locker.release(grant)
    engine.store.heal()

    engine.pending.make_now()

    assert engine.holder_of("held") is None


class InParts:
    """A store of two servers: keys that begin with `a` lie on one of them."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def part_of(self, key: str) -> str:
        return "first" if key.startswith("a") else "second"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_a_server_that_hangs_keeps_nobody_from_another_one(engine: Engine) -> None:
    parts: Any = InParts(engine.store)
    locker = Locker(parts, clock=engine.clock, threads=False)
    hang(engine, times=1)
    with pytest.raises(StoreUnavailable):
        locker.claim(Ask(engine.claim("a1"), SUBJECT))

    with pytest.raises(StoreUnavailable, match="it is not asked"):
        locker.claim(Ask(engine.claim("a2"), SUBJECT))
    assert isinstance(locker.claim(Ask(engine.claim("b"), SUBJECT)), Grant)

    locker.move_on()
    assert isinstance(locker.claim(Ask(engine.claim("a2"), SUBJECT)), Grant)


def test_the_cause_of_one_server_is_not_said_of_another_one(engine: Engine) -> None:
    parts: Any = InParts(engine.store)
    locker = Locker(parts, clock=engine.clock, threads=False)
    for key, why in (("a", "the first hung"), ("b", "the second hung")):
        hang(engine, "acquire", why=why, times=1)
        with pytest.raises(StoreUnavailable, match=why):
            locker.claim(Ask(engine.claim(key), SUBJECT))
    engine.store.refuse("renew", error=StoreUnavailable(engine.store.url, "one of them is loading"))

    locker.move_on()

    for key, why in (("a", "the first hung"), ("b", "the second hung")):
        with pytest.raises(StoreUnavailable, match=f"{why}, so it is not asked"):
            locker.claim(Ask(engine.claim(key), SUBJECT))


def test_a_store_that_renews_without_asking_is_probed_by_its_own_call(engine: Engine) -> None:
    class Probed(InParts):
        def probe(self, key: str, within: float) -> None:
            self.inner.peek(key)

    probed: Any = Probed(engine.store)
    locker = Locker(probed, clock=engine.clock, threads=False)
    hang(engine, "acquire", "peek")
    with pytest.raises(StoreUnavailable):
        locker.claim(Ask(engine.claim("a"), SUBJECT))

    engine.clock.move(1)
    locker.move_on()

    with pytest.raises(StoreUnavailable, match="it is not asked"):
        locker.claim(Ask(engine.claim("a"), SUBJECT))
    engine.store.heal()
    engine.clock.move(1)
    locker.move_on()
    assert isinstance(locker.claim(Ask(engine.claim("a"), SUBJECT)), Grant)
