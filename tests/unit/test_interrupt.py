"""A body is interrupted once, while it runs; what comes before and after it never is.

No test here sleeps: a body waits in a loop, or for an event, and ends by being interrupted.
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import gevent
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from celery.exceptions import Ignore

from celery_lock import LeaseLost, Lock, LockedTask
from celery_lock.engine import ignored as hearing
from celery_lock.engine import interrupt as code
from celery_lock.engine.interrupt import SIGNAL, Interrupt
from celery_lock.events import Lost
from celery_lock.model.mutex import Mutex

from .engine import Engine, deliver, locked

OURS = code.__file__
LONG = 30.0
"""Seconds that nothing here takes."""


class Place:
    """Where a body runs."""

    def __init__(self, way: type, run: Callable[[Callable[[], Any]], Any]) -> None:
        self.way = way
        self.run = run


def in_thread(function: Callable[[], Any]) -> Any:
    result: list[Any] = []

    def target() -> None:
        try:
            result.append((function(), None))
        except BaseException as error:
            result.append((None, error))

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(LONG)
    value, error = result[0]
    if error is not None:
        raise error
    return value


def in_greenlet(function: Callable[[], Any]) -> Any:
    return gevent.spawn(function).get(timeout=LONG)


PLACES = {
    "main": Place(code.BySignal, lambda function: function()),
    "thread": Place(code.ByThread, in_thread),
    "greenlet": Place(code.ByGreenlet, in_greenlet),
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    return PLACES[request.param]


@pytest.fixture(autouse=True)
def handler() -> Any:
    """The signal has the handler after a test that it had before."""
    assert SIGNAL is not None
    before = signal.getsignal(SIGNAL)
    yield before
    assert signal.getsignal(SIGNAL) is before
    assert code.BySignal.around == []


def soon(function: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def steps(count: int = 300) -> int:
    """Steps of Python code, where whatever is late would arrive."""
    gevent.sleep(0)
    total = 0
    for number in range(count):
        total += len(str(number))
    return total


def go_on(started: threading.Event) -> None:
    """Run until something ends it."""
    started.set()
    while True:
        gevent.sleep(0) if gevent.getcurrent().parent is not None else steps(10)


# -- while it runs -----------------------------------------------------------------------------


def test_a_running_body_is_interrupted(place: Place) -> None:
    interrupt, started = Interrupt("k"), threading.Event()
    ways = []

    def body(started: threading.Event) -> None:
        ways.append(type(interrupt.way))
        go_on(started)

    losing = soon(lambda: (started.wait(LONG), interrupt.lost("taken", "lock release")))

    with pytest.raises(LeaseLost) as raised:
        place.run(lambda: interrupt.run(body, (started,), {}))

    losing.join()
    assert ways == [place.way]
    assert type(raised.value) is LeaseLost
    assert raised.value.args == ("k", "taken", "lock release")
    assert pickle.loads(pickle.dumps(raised.value)).args == raised.value.args


def test_a_body_that_goes_on_is_interrupted_once(place: Place) -> None:
    interrupt, started = Interrupt("k"), threading.Event()

    def body() -> list[str]:
        caught = []
        try:
            go_on(started)
        except LeaseLost as lost:
            caught.append(lost.reason)
        interrupt.lost("taken")
        steps()
        return caught

    losing = soon(lambda: (started.wait(LONG), interrupt.lost("expired")))

    assert place.run(lambda: interrupt.run(body, (), {})) == ["expired"]
    losing.join()


def test_a_wait_in_the_main_thread_is_cut_short() -> None:
    interrupt, started = Interrupt("k"), threading.Event()
    losing = soon(lambda: (started.wait(LONG), interrupt.lost("expired")))

    def body() -> None:
        started.set()
        threading.Event().wait(LONG)

    with pytest.raises(LeaseLost):
        interrupt.run(body, (), {})
    losing.join()


def test_a_signal_that_a_wait_has_missed_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It arrived after the last look for signals, and before the wait that it should end."""
    kill, missed = signal.pthread_kill, []

    def miss_one(*args: Any) -> None:
        kill(*args) if missed else missed.append(args)

    monkeypatch.setattr(signal, "pthread_kill", miss_one)
    interrupt, started = Interrupt("k"), threading.Event()
    losing = soon(lambda: (started.wait(LONG), interrupt.lost("expired")))

    def body() -> bool:
        started.set()
        return threading.Event().wait(LONG / 10)

    with pytest.raises(LeaseLost):
        interrupt.run(body, (), {})
    losing.join()


def test_what_a_body_returns_and_raises_is_its_own(place: Place) -> None:
    def fail() -> None:
        raise ValueError("mine")

    assert place.run(lambda: Interrupt("k").run(sorted, ([2, 1],), {"reverse": True})) == [2, 1]
    with pytest.raises(ValueError, match="mine"):
        place.run(lambda: Interrupt("k").run(fail, (), {}))


def test_a_body_that_calls_its_own_task_is_one_body(place: Place) -> None:
    interrupt, started = Interrupt("k"), threading.Event()

    def inner() -> int:
        return steps()

    def body() -> None:
        interrupt.run(inner, (), {})
        go_on(started)  # still to be interrupted

    losing = soon(lambda: (started.wait(LONG), interrupt.lost("expired")))

    with pytest.raises(LeaseLost):
        place.run(lambda: interrupt.run(body, (), {}))
    losing.join()


def test_an_interrupt_that_python_ignores_comes_once_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fell into the callback of a weak reference, which the collector of garbage had called."""
    interrupt, started, ignored = Interrupt("k"), threading.Event(), []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)

    class Dying:
        def __del__(self) -> None:
            go_on(started)

    def body() -> None:
        dying = Dying()
        del dying
        for _ in range(1_000_000):  # still to be interrupted
            steps(10)

    losing = soon(lambda: (started.wait(LONG), interrupt.lost("expired")))

    with pytest.raises(LeaseLost):
        place.run(lambda: interrupt.run(body, (), {}))
    losing.join()
    assert ignored == []
    assert hearing._wanted == []


def test_what_is_ignored_while_it_is_heard_of_is_heard_of_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It came a second time, into the very hook: Python says so on stderr, and to nobody."""
    error, calls, ignored = LeaseLost("k", "expired"), [], []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)

    class Dying:
        def __del__(self) -> None:
            raise error

    def then() -> None:
        calls.append(error)
        if len(calls) < 3:
            raise error

    hearing.hear_of(error, then)
    dying = Dying()
    del dying
    hearing.no_more_of(error)

    assert len(calls) == 3
    assert ignored == []


def test_what_others_raise_where_nothing_can_be_is_none_of_ours(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt, started, ignored = Interrupt("k"), threading.Event(), []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: ignored.append(type(it.exc_value)))

    class Dying:
        def __del__(self) -> None:
            raise ValueError

    def body() -> None:
        try:
            go_on(started)
        finally:
            dying = Dying()
            del dying

    losing = soon(lambda: (started.wait(LONG), interrupt.lost("expired")))

    with pytest.raises(LeaseLost):
        place.run(lambda: interrupt.run(body, (), {}))
    losing.join()
    assert ignored == [ValueError]


def test_a_body_within_a_body_does_not_end_the_outer_ones_arming(place: Place) -> None:
    outer, inner, started = Interrupt("outer"), Interrupt("inner"), threading.Event()
    ended = []

    def body() -> None:
        inner.run(steps, (), {})
        ended.append("inner")
        go_on(started)

    losing = soon(lambda: (started.wait(LONG), outer.lost("expired")))

    with pytest.raises(LeaseLost) as raised:
        place.run(lambda: outer.run(body, (), {}))
    losing.join()
    assert (raised.value.key, ended) == ("outer", ["inner"])


def test_the_outer_of_two_bodies_is_interrupted_within_the_inner(place: Place) -> None:
    outer, inner, started = Interrupt("outer"), Interrupt("inner"), threading.Event()
    losing = soon(lambda: (started.wait(LONG), outer.lost("expired")))

    with pytest.raises(LeaseLost) as raised:
        place.run(lambda: outer.run(inner.run, (go_on, (started,), {}), {}))
    losing.join()
    assert raised.value.key == "outer"


# -- before and after --------------------------------------------------------------------------


def test_a_body_whose_lease_is_lost_before_it_begins_does_not_begin(place: Place) -> None:
    interrupt = Interrupt("k")
    interrupt.lost("expired")
    begun: list[int] = []

    with pytest.raises(LeaseLost):
        place.run(lambda: interrupt.run(begun.append, (1,), {}))

    assert begun == []


def test_nothing_is_sent_for_a_loss_just_before_the_body_begins(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way is open by then, and what is on it could come late."""
    interrupt, sent = Interrupt("k"), []
    opened: Callable[[Any], None] = place.way.open

    def open_and_lose(way: Any) -> None:
        opened(way)
        interrupt.lost("expired")

    monkeypatch.setattr(place.way, "open", open_and_lose)
    monkeypatch.setattr(place.way, "send", sent.append)

    with pytest.raises(LeaseLost):
        place.run(lambda: interrupt.run(pytest.fail, ("the body has begun",), {}))

    assert sent == []


def test_a_loss_after_the_end_touches_nothing(place: Place) -> None:
    def story() -> int:
        interrupt = Interrupt("k")
        assert interrupt.run(max, (1, 2), {}) == 2
        interrupt.lost("expired")
        return steps()

    assert place.run(story)


def test_what_is_sent_in_the_last_moment_of_a_greenlet_is_not_thrown_after_it() -> None:
    interrupt = Interrupt("k")

    def story() -> int:
        interrupt.run(interrupt.lost, ("expired",), {})  # the hub has had no turn yet
        return steps()

    assert in_greenlet(story)


def test_the_end_waits_for_one_who_is_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    sending, closed, order = threading.Event(), threading.Event(), []

    class Slow:
        def open(self) -> None: ...

        def send(self) -> None:
            sending.set()
            closed.wait(0.1)
            order.append("sent")

        def close(self) -> None:
            order.append("closed")
            closed.set()

    monkeypatch.setattr(code, "_way_into", lambda interrupt: Slow())
    one = Interrupt("k")
    started = threading.Event()
    losing = soon(lambda: (started.wait(LONG), one.lost("expired")))

    one.run(lambda: (started.set(), sending.wait(LONG)), (), {})

    losing.join()
    assert order[:2] == ["sent", "closed"]


class At:
    """Does something at one moment of the interrupt's own code, counted from 1."""

    def __init__(self, moments: dict[int, Callable[[], None]]) -> None:
        self.moments = moments
        self.count = 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event in ("call", "return", "c_return") and frame.f_code.co_filename == OURS:
            self.count += 1
            act = self.moments.get(self.count)
            if act is not None:
                sys.setprofile(None)
                try:
                    act()
                finally:
                    sys.setprofile(self)


def is_taken(mutex: Mutex) -> bool:
    return repr(mutex).startswith("<locked")


class Loser:
    """Another thread, which tells the loss when it is told to, or as soon as the lock lets it.

    It runs already: a thread that is interrupted while it starts another one raises a KeyError.
    """

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt
        self._turns: queue.SimpleQueue[bool] = queue.SimpleQueue()  # bears to be interrupted
        self._thread = soon(lambda: self._turns.get() and interrupt.lost("expired"))

    def loses(self) -> None:
        self._turns.put(True)
        for _ in range(200):
            if not self._thread.is_alive() or is_taken(self._interrupt.sending):
                break
            self._thread.join(0.001)

    def end(self) -> None:
        self._turns.put(False)
        self._thread.join(LONG)


def stops() -> None:
    raise SoftTimeLimitExceeded()


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("limit", [False, True])
def test_at_no_moment_does_a_loss_reach_past_the_end(where: str, limit: bool) -> None:
    """Also with a time limit beside it, at every later moment in turn."""

    def story(moments: dict[str, int]) -> tuple[int, str]:
        interrupt = Interrupt("k")
        loser = Loser(interrupt)
        acts: dict[int, Callable[[], None]] = {moments["loss"]: loser.loses}
        if limit:
            acts[moments["loss"] + moments["limit"]] = stops
        at = At(acts)
        said = "begun"
        sys.setprofile(at)
        try:
            said = interrupt.run(lambda: "returned", (), {})
        except (LeaseLost, SoftTimeLimitExceeded) as error:
            said = type(error).__name__
        finally:
            sys.setprofile(None)
        steps()  # whatever is late raises here
        loser.end()
        assert not interrupt.armed
        assert not is_taken(interrupt.sending)
        return at.count, said

    loss, said, outcomes = 0, "", []
    moments = 1
    while loss < moments:
        loss += 1
        for gap in range(1, moments if limit else 2):
            count, said = PLACES[where].run(lambda: story({"loss": loss, "limit": gap}))  # noqa: B023
            moments = max(moments, count)
            outcomes.append(said)
        if limit and moments == 1:
            moments = 20
    assert loss > 8
    assert {"returned", "LeaseLost"} <= set(outcomes)
    if limit:
        assert "SoftTimeLimitExceeded" in outcomes


@pytest.mark.parametrize("where", ["main", "thread"])
def test_hundreds_of_losses_at_the_end_of_their_body_reach_nothing_else(where: str) -> None:
    """Two threads race: what comes of each body is its result or its loss, and nothing later."""
    rounds = 400
    turns: queue.SimpleQueue[Interrupt | None] = queue.SimpleQueue()  # bears to be interrupted

    def lose() -> None:
        while (interrupt := turns.get()) is not None:
            interrupt.lost("expired")

    def story() -> list[str]:
        outcomes: list[str] = []
        # a loaded machine may let every body end first: then they last longer, until one does not
        for number in itertools.chain(range(rounds), itertools.count(rounds * 100, 1000)):
            if len(outcomes) >= rounds and "lost" in outcomes:
                break
            interrupt = Interrupt("k")

            def body(interrupt: Interrupt = interrupt, number: int = number) -> str:
                turns.put(interrupt)
                steps(number)
                return "returned"

            try:
                outcomes.append(interrupt.run(body, (), {}))
            except LeaseLost:
                outcomes.append("lost")
            steps(50)
        return outcomes

    losing = soon(lose)
    try:
        outcomes = PLACES[where].run(story)
    finally:
        turns.put(None)
        losing.join()
    assert len(outcomes) >= rounds


# -- the signal --------------------------------------------------------------------------------


@contextlib.contextmanager
def handled(number: int, handler: Any) -> Any:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_a_users_own_handler_hears_its_signals_and_is_put_back() -> None:
    assert SIGNAL is not None
    heard: list[int] = []

    def users(number: int, frame: Any) -> None:
        heard.append(number)

    def body() -> None:
        signal.raise_signal(SIGNAL)
        interrupt.lost("expired")
        steps()

    with handled(SIGNAL, users):
        interrupt = Interrupt("k")
        with pytest.raises(LeaseLost):
            interrupt.run(body, (), {})

        assert signal.getsignal(SIGNAL) is users
        assert heard == [SIGNAL], "its own, and not ours"


def test_a_handler_that_the_body_puts_in_stays() -> None:
    assert SIGNAL is not None

    def users(number: int, frame: Any) -> None: ...

    with handled(SIGNAL, signal.SIG_DFL):
        Interrupt("k").run(signal.signal, (SIGNAL, users), {})

        assert signal.getsignal(SIGNAL) is users


def test_a_signal_that_arrives_after_the_end_raises_nothing() -> None:
    assert SIGNAL is not None
    interrupt = Interrupt("k")

    def body() -> str:
        signal.pthread_sigmask(signal.SIG_BLOCK, [SIGNAL])
        interrupt.lost("expired")
        return "returned"

    try:
        assert interrupt.run(body, (), {}) == "returned"
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [SIGNAL])
    assert steps()


def test_our_handler_does_nothing_for_a_body_that_has_ended() -> None:
    one = Interrupt("k")
    one.error = LeaseLost("k", "expired")
    way = code.BySignal(one, SIGNAL or 0)
    way.sent = True

    way.arrive()

    one.armed = True
    with pytest.raises(LeaseLost):
        way.arrive()
    way.arrive()  # once


def test_without_such_a_signal_the_main_thread_gets_an_asynchronous_exception(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on Windows."""
    monkeypatch.setattr(code, "SIGNAL", None)
    monkeypatch.delattr(signal, "pthread_kill")
    one, started = Interrupt("k"), threading.Event()
    losing = soon(lambda: (started.wait(LONG), one.lost("expired")))

    with pytest.raises(LeaseLost):
        one.run(go_on, (started,), {})
    losing.join()


# -- in a task ---------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("bind", [False, True])
def test_the_body_of_a_lost_lease_is_interrupted(engine: Engine, where: str, bind: bool) -> None:
    app = engine.app()
    went_on: list[int] = []

    @locked(app, Lock("k", at_most=5, on_lost="interrupt"), name="t", bind=bind)
    def task(*_: Any) -> None:
        engine.move(6)
        went_on.append(steps())

    ended = PLACES[where].run(lambda: deliver(task))

    assert (ended.state, ended.result.args) == ("FAILURE", ("k", "at_most", None))
    assert went_on == []
    assert [fact.reason for fact in engine.told(Lost)] == ["at_most"]
    assert engine.holder_of() is None


def test_a_body_that_only_wants_the_flag_goes_on(engine: Engine) -> None:
    app = engine.app()

    @locked(app, Lock("k", at_most=5), name="t")
    def task() -> int:
        engine.move(6)
        return steps()

    assert deliver(task).state == "SUCCESS"


def test_a_loss_while_the_key_is_given_back_interrupts_nothing(engine: Engine) -> None:
    app = engine.app()

    @locked(app, Lock("k", at_most=5, on_lost="interrupt"), name="t")
    def task() -> str:
        def release(call: Callable[[], Any]) -> Any:
            steps()
            return call()

        engine.store.instead("release", do=release)
        engine.clock.move(6)  # it has ended, and nobody has been told yet
        return "done"

    ended = deliver(task)
    steps()

    assert ended == ("SUCCESS", "done")
    assert len(engine.told(Lost)) == 1
    assert len(engine.keeper) == 0


def test_a_class_based_task_that_retries_everything_retries_its_loss(engine: Engine) -> None:
    """Celery puts its own `run` on the instance before the task is bound."""
    app = engine.app()
    retried: list[BaseException] = []

    class Hanging(LockedTask[..., None]):
        name = "t"
        lock = Lock("k", at_most=5, on_lost="interrupt")
        autoretry_for = (LeaseLost,)

        def run(self) -> None:
            engine.move(6)
            steps()

        def retry(self, *args: Any, **options: Any) -> Any:
            retried.append(options["exc"])
            raise Ignore

    task = app.register_task(Hanging())

    assert deliver(task).state == "IGNORED"
    assert [type(error) for error in retried] == [LeaseLost]


def test_no_interrupt_falls_into_the_retry_of_a_body_that_has_ended(engine: Engine) -> None:
    """The message is out by then: a failure beside it would be a second outcome."""
    app = engine.app()

    @locked(
        app,
        Lock("k", at_most=5, on_lost="interrupt"),
        name="t",
        bind=True,
        autoretry_for=(ValueError,),
    )
    def task(self: Any) -> None:
        def retry(*args: Any, **options: Any) -> Any:
            engine.move(6)
            steps()
            raise Ignore

        self.retry = retry
        raise ValueError

    assert deliver(task).state == "IGNORED"


def test_a_direct_call_of_such_a_task_is_a_plain_call(engine: Engine) -> None:
    task = locked(engine.app(), Lock("k", on_lost="interrupt"), name="t")(steps)

    assert task(10) == 10
    assert task.run(10) == 10
    assert engine.store.calls == []
