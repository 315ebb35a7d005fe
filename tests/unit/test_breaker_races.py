"""Threads, stops and several servers at the same moment: no breaker stays shut, or open, for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import pytest

from celery_lock.engine import breaker as breaker_module
from celery_lock.engine.breaker import PAUSE, Breaker
from celery_lock.engine.locker import Locker
from celery_lock.engine.publishing import PublishersLeases
from celery_lock.errors import StoreUnavailable
from celery_lock.model import Completion, Feature, Lease, Outcome
from celery_lock.testing.faults import StoreCall

from .engine import SUBJECT, Engine
from .test_breaker import DEADLINE, InParts, hang
from .test_interrupted import stopped

pytestmark = pytest.mark.unit


class Woken:
    """A breaker whose store is asked again only when somebody has seen to it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.time: float | None = None
        store: Any = InParts(engine.store)
        self.breaker = Breaker(store, deadline=DEADLINE, clock=engine.clock)
        self.breaker.wake = self.wake

    def wake(self, time: float) -> None:
        self.time = time if self.time is None else min(self.time, time)

    def move(self, seconds: float) -> None:
        """Let time pass with the thread at work that asks whether the store answers."""
        until = self.engine.clock() + seconds
        while self.time is not None and self.time <= until:
            self.engine.clock.move(max(0.0, self.time - self.engine.clock()))
            self.time = None
            self.wake(self.breaker.probe_due())
        self.engine.clock.move(max(0.0, until - self.engine.clock()))

    def fail(self, key: str) -> None:
        """Hear of a call about this key that has hung."""
        error = StoreUnavailable(self.breaker.url, "no answer")
        self.breaker.failed(error, key, self.engine.clock() - DEADLINE)

    def is_refused(self, call: Callable[[], Any]) -> bool:
        try:
            call()
        except StoreUnavailable as error:
            return not error.asked
        return False

    def claim(self, key: str) -> bool:
        """Claim it; return whether that was granted."""
        with suppress(StoreUnavailable):
            return isinstance(self.breaker.acquire(self.engine.claim(key)), Lease)
        return False


def meanwhile(moment: int, other: Callable[[], None], run: Callable[[], Any]) -> bool:
    """Run, and let another thread do something after so many steps of the breaker's code.

    Returns whether it came to that.
    """
    left = moment

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != breaker_module.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                sys.settrace(None)
                other()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return left <= 0


def failing_as_it_opens(key: str, opens: Callable[[Woken], Any]) -> Iterator[tuple[int, Woken]]:
    """Let a call about this key fail at each moment in turn of the opening of a shut store."""
    moment, hit = 0, True
    while hit:
        moment += 1
        woken = Woken(Engine())
        woken.fail("a0")
        hit = meanwhile(moment, partial(woken.fail, key), partial(opens, woken))
        yield moment, woken
    assert moment > 40


@pytest.mark.parametrize("failing", ["a1", "b1"])
def test_at_no_moment_of_an_opening_does_a_failure_shut_it_for_ever(failing: str) -> None:
    for moment, woken in failing_as_it_opens(failing, lambda woken: woken.move(0.0)):
        woken.move(2 * PAUSE)
        assert woken.claim(failing), moment
        assert woken.claim("a2"), moment


@pytest.mark.parametrize("failing", ["a1", "b1"])
def test_at_no_moment_of_an_opening_does_a_failure_leave_a_shut_part_open(failing: str) -> None:
    for moment, woken in failing_as_it_opens(failing, lambda woken: woken.breaker.probe()):
        store, claim = woken.breaker, woken.engine.claim(failing)
        is_shut = woken.is_refused(partial(store.peek, failing))
        assert woken.is_refused(partial(store.acquire, claim)) == is_shut, moment


def test_at_no_moment_of_a_failure_does_a_stop_shut_the_store_for_ever() -> None:
    moment, hit = 0, True
    while hit:
        moment += 1
        woken = Woken(Engine())

        hit = stopped(moment, SystemExit(1), partial(woken.fail, "a"))

        woken.claim("a1")
        woken.move(2 * PAUSE)
        assert woken.claim("a2"), moment
    assert moment > 4


def test_who_is_refused_sees_to_it_that_the_store_is_asked(engine: Engine) -> None:
    """The thread that was to ask may have ended, or never begun."""
    woken = Woken(engine)
    woken.fail("a")
    woken.time = None
    assert not woken.claim("a")

    woken.move(2 * PAUSE)

    assert woken.claim("a")


class Servers:
    """Two servers: each answers as a test says."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.needs: dict[str, float] = {}
        """Seconds that an answer takes, by the first letter of the key."""
        engine.store.instead("renew", do=self.renew)

    def renew(self, call: StoreCall) -> Sequence[Outcome]:
        within = call.arguments["within"]
        needs = [self.needs.get(lease.key[0], 0.0) for lease, _ in call.arguments["renewals"]]
        self.engine.clock.move(min(within, max(needs)))
        if min(needs) > within:
            raise StoreUnavailable("two://", "no answer")
        return [Outcome.UNKNOWN if one > within else Outcome.LOST for one in needs]


@pytest.mark.parametrize("slow", ["a", "b"])
def test_a_server_that_answers_slowly_is_used_again_beside_one_that_is_dead(slow: str) -> None:
    woken = Woken(Engine())
    Servers(woken.engine).needs = {"a": 99.0, "b": 99.0, slow: 1.5}
    woken.fail("a")
    woken.fail("b")

    woken.move(10)

    assert woken.claim(slow)


def test_a_server_that_answers_opens_no_other_one(engine: Engine) -> None:
    woken = Woken(engine)
    Servers(engine).needs = {"a": 99.0}
    woken.fail("a")
    woken.fail("b")

    woken.move(3)

    assert woken.claim("b")
    assert woken.is_refused(lambda: woken.breaker.peek("a"))


def test_dead_servers_keep_nobody_for_long_from_one_that_is_back() -> None:
    woken = Woken(Engine())
    woken.breaker._part_of = lambda key: key
    servers = Servers(woken.engine)
    servers.needs = dict.fromkeys("abcdef", 99.0)
    for key in "abcdef":
        woken.fail(key)
    woken.move(5)
    del servers.needs["f"]
    back = woken.engine.clock()

    while not woken.claim("f"):
        woken.move(0.01)

    assert woken.engine.clock() - back <= DEADLINE + 2 * PAUSE


def test_calls_that_were_under_way_do_not_put_off_the_long_probe(engine: Engine) -> None:
    """Of many threads each hears in its own time that the store has hung."""
    woken = Woken(engine)
    Servers(engine).needs = {"a": 1.5}
    woken.fail("a")

    for _ in range(8):
        woken.move(1)
        if woken.claim("a"):
            return
        woken.fail("a")
    pytest.fail("it is still shut")


def test_a_publish_says_which_server_has_hung(engine: Engine) -> None:
    """Its keys are claimed one by one, and the server of the second one hangs."""
    parts: Any = InParts(engine.store)
    engine.store.lacks = {Feature.SEVERAL}
    locker = Locker(parts, clock=engine.clock, threads=False)
    claims = [engine.claim(key, unconfirmed=True) for key in ("a", "b")]
    PublishersLeases(locker, SUBJECT, [engine.claim("a0", unconfirmed=True)]).take("send")

    def hung(call: StoreCall) -> Any:
        if call.arguments["claim"].key != "b":
            return call()
        engine.clock.move(DEADLINE)
        raise StoreUnavailable("two://", "no answer")

    engine.store.instead("acquire", do=hung)

    with pytest.raises(StoreUnavailable):
        PublishersLeases(locker, SUBJECT, claims).take("send")

    assert isinstance(locker.store.acquire(engine.claim("a1")), Lease)
    with pytest.raises(StoreUnavailable, match="it is not asked"):
        locker.store.acquire(engine.claim("b1"))


def test_a_publish_that_could_not_ask_which_store_it_is_shuts_no_server(engine: Engine) -> None:
    parts: Any = InParts(engine.store)
    locker = Locker(parts, clock=engine.clock, threads=False)
    hang(engine, "change")

    with pytest.raises(StoreUnavailable):
        PublishersLeases(locker, SUBJECT, [engine.claim("a", unconfirmed=True)]).take("send")

    assert isinstance(locker.store.acquire(engine.claim("a1")), Lease)


def test_completions_are_told_to_all_servers_but_the_one_that_hangs(engine: Engine) -> None:
    woken = Woken(engine)
    Servers(engine).needs = {"b": 99.0}
    told = []

    def complete(call: StoreCall) -> None:
        keys = [one.key for one in call.arguments["completions"]]
        if "b" in keys:
            engine.clock.move(DEADLINE)
            raise StoreUnavailable("two://", "no answer")
        told.extend(keys)

    engine.store.instead("complete", do=complete)
    waited = 0.0

    for _ in range(4):
        began = engine.clock()
        with pytest.raises(StoreUnavailable):
            woken.breaker.complete([Completion(key, "p", 60.0) for key in ("a", "b")])
        waited += engine.clock() - began
        woken.move(1)

    assert waited == DEADLINE
    assert told == ["a"] * 4
    assert woken.claim("a")
