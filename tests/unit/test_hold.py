"""A key held outside a task: around a block and around a function, without a server."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from celery import Celery

from celery_lock import (
    LeaseLost,
    Lock,
    LockConfigurationError,
    LockConflict,
    LockError,
    StoreError,
    current_lease,
    hold,
    peek,
    wait,
)
from celery_lock.errors import LockWaitTimeout, UnsupportedFeature
from celery_lock.events import Acquired, Conflicted, Lost, Released, StoreFailed
from celery_lock.events.plain_text import moment
from celery_lock.model import Feature, Holder
from celery_lock.model.per_process import this_process

from .engine import Engine, deliver, locked

pytestmark = pytest.mark.unit

NOBODY = ("", "")


@pytest.fixture
def held(app: Celery) -> Callable[..., hold]:
    return partial(hold, app=app, max_wait=0)


# -- a block ---------------------------------------------------------------------------------


def test_a_block_has_the_key_and_gives_it_back(held: Any, engine: Engine) -> None:
    with held("k") as lease:
        holder = Holder.parse(str(engine.store.inner.peek("k").holder))  # type: ignore[union-attr]
        assert (holder.is_hold, holder.pid) == (True, os.getpid())
        assert not lease.lost

    assert engine.holder_of() is None
    assert lease.lost


def test_a_block_is_renewed_for_as_long_as_it_runs(held: Any, engine: Engine) -> None:
    with held("k", ttl=30) as lease:
        engine.move(300)

        assert not lease.lost


def test_one_hold_may_be_entered_again_and_again(held: Any, engine: Engine) -> None:
    key = held("k")

    for _ in range(2):
        with key:
            assert engine.holder_of() is not None
        assert engine.holder_of() is None


def test_who_does_not_wait_hears_at_once_who_has_the_key(held: Any, engine: Engine) -> None:
    engine.hold(task_id="id-9")

    with pytest.raises(LockConflict, match="lock 'k' is held by id-9") as raised, held("k"):
        pytest.fail("it is not given")

    assert not isinstance(raised.value, LockWaitTimeout)
    assert (raised.value.holder, raised.value.state) == ("id-9", "held")
    assert engine.told(Acquired) == []


def test_who_meets_a_message_that_is_being_sent_hears_so(held: Any, engine: Engine) -> None:
    engine.hold(task_id="id-9", unconfirmed=True)

    with pytest.raises(LockConflict, match="taken for id-9, a message that is") as raised:
        held("k").__enter__()

    assert raised.value.state == "unconfirmed"


def test_who_waits_hears_of_it_when_the_time_is_over(held: Any, engine: Engine) -> None:
    engine.hold(task_id="id-9", ttl=100)
    began = engine.clock()

    with pytest.raises(LockWaitTimeout, match=r"gave up waiting.*id-9"), held("k", max_wait=2):
        pytest.fail("it is not given")

    assert engine.clock() - began == pytest.approx(2, abs=0.1)
    engine.settle()
    assert engine.holder_of() == "id-9"


def test_who_waits_gets_the_key_as_soon_as_it_is_free(held: Any, engine: Engine) -> None:
    engine.hold(ttl=1)

    with held("k", max_wait=5) as lease:
        assert not lease.lost

    assert 0.9 < engine.told(Acquired)[0].waited < 1.5


def test_a_hold_is_named_to_whom_it_keeps_out(held: Any, app: Celery) -> None:
    with held("k"):
        conflict = refused(held)

    assert conflict.holder is not None
    assert conflict.holder.startswith("hold() on ")
    assert pickle.loads(pickle.dumps(conflict)).args == conflict.args


def refused(held: Any) -> LockConflict:
    """Ask for the key in another thread."""
    raised: list[LockConflict] = []

    def ask() -> None:
        with pytest.raises(LockConflict) as error, held("k"):
            pytest.fail("it is not given")
        raised.append(error.value)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return raised[0]


def test_a_ceiling_ends_the_lease_of_a_block_that_hangs(held: Any, engine: Engine) -> None:
    with held("k", at_most=40) as lease:
        engine.move(41)

        with pytest.raises(LeaseLost, match="at_most"):
            lease.check()
        assert engine.holder_of() is None

    assert [fact.reason for fact in engine.told(Lost)] == ["at_most"]
    assert [fact.in_time for fact in engine.told(Released)] == [False]


def test_a_lease_that_was_taken_away_is_said_and_the_block_goes_on(
    held: Any, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with held("k") as lease:
        engine.store.inner.free("k", lease.holder)
        engine.move(11)

        assert lease.lost

    assert [fact.subject[:2] for fact in engine.told(Lost)] == [NOBODY]


def test_several_may_hold_a_key_with_permits(held: Any, engine: Engine) -> None:
    with held("k", limit=2) as one:
        other = engine.hold(limit=2)

        assert {one.slot, other.slot} == {0, 1}
        assert "taken 2 times" in str(refused(partial(held, limit=2)))


def test_a_block_with_a_lower_limit_is_refused_within_one_that_others_may_share(
    held: Any, engine: Engine
) -> None:
    with held("k", limit=3):
        engine.hold(limit=3)

        with (
            pytest.raises(
                LockConfigurationError, match=r"limit=1 stands within .*'k' with limit=3"
            ),
            held("k"),
        ):
            pytest.fail("another one has the key too")

        assert len(engine.store.inner.peek("k").holders) == 2  # type: ignore[union-attr]


def test_a_block_with_the_same_or_a_higher_limit_is_within_the_outer_one(held: Any) -> None:
    with held("k", limit=2) as outer, held("k", limit=2) as same, held("k", limit=3) as higher:
        assert outer is same is higher


def test_a_block_in_a_body_that_shares_its_key_needs_its_limit(app: Celery, engine: Engine) -> None:
    @locked(app, lock=Lock("k", limit=3))
    def task(n: int) -> None:
        with hold("k", app=app, max_wait=0, limit=n):
            pass

    alone, shared = task.apply([1]), task.apply([3])

    assert isinstance(alone.result, LockConfigurationError)
    assert shared.state == "SUCCESS"
    assert engine.holder_of() is None


def test_what_the_store_lacks_is_refused_where_it_is_asked_for(held: Any, engine: Engine) -> None:
    engine.store.lacks = {Feature.PERMITS}

    with (
        pytest.raises(UnsupportedFeature, match=r"hold\('k'\) with limit=2 needs .*'permits'"),
        held("k", limit=2),
    ):
        pytest.fail("it is not given")


def test_a_store_that_gives_no_answer_is_an_error_and_the_block_does_not_run(
    held: Any, engine: Engine
) -> None:
    with engine.store.down(), pytest.raises(StoreError), held("k"):
        pytest.fail("it is not given")

    assert [fact.answer for fact in engine.told(StoreFailed)] == ["fail"]
    engine.settle()
    assert engine.holder_of() is None


def test_a_release_without_an_answer_is_tried_again(held: Any, engine: Engine) -> None:
    with held("k"):
        engine.store.refuse("release", times=1)

    engine.settle()

    assert engine.holder_of() is None


# -- what others hear of it ------------------------------------------------------------------


def test_a_hold_is_a_subject_without_a_task(held: Any, engine: Engine) -> None:
    with held("user:{user_id}", fields={"user_id": 7}):
        """Do nothing."""

    acquired, released = engine.facts
    assert (acquired.subject, released.subject) == (("", "", "user:{user_id}"),) * 2
    assert (acquired.key, released.key) == ("user:7", "user:7")
    assert isinstance(acquired, Acquired)
    assert isinstance(released, Released)


@pytest.mark.parametrize(("max_wait", "words"), [(0, ["fail"]), (2, ["wait", "fail"])])
def test_a_conflict_is_heard_of_with_what_is_done(
    held: Any, engine: Engine, max_wait: float, words: list[str]
) -> None:
    engine.hold()

    with pytest.raises(LockConflict), held("k", max_wait=max_wait):
        pytest.fail("it is not given")

    facts = engine.told(Conflicted)
    assert [fact.decision.word for fact in facts] == words
    assert [fact.waited_out for fact in facts] == [False, True][: len(words)]


# -- entered again ---------------------------------------------------------------------------


def test_a_key_that_is_held_here_yields_the_same_lease(held: Any, engine: Engine) -> None:
    with held("k") as outer:
        with held("k") as inner:
            assert inner is outer
        assert not outer.lost
        assert engine.holder_of() is not None

    assert engine.holder_of() is None
    assert len(engine.told(Acquired)) == 1


def test_one_hold_in_itself_yields_the_same_lease(held: Any, engine: Engine) -> None:
    key = held("k")

    with key as outer, key as inner, key:
        assert inner is outer

    assert engine.holder_of() is None


def test_another_key_is_another_lease(held: Any, engine: Engine) -> None:
    with held("k") as one, held("l") as two:
        assert (one.key, two.key) == ("k", "l")
        assert current_lease() is two


def test_another_thread_is_kept_out(held: Any) -> None:
    with held("k"):
        assert refused(held).key == "k"


def test_a_module_of_greenlets_may_be_imported_within_a_block(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    greenlet = pytest.importorskip("greenlet")
    monkeypatch.delitem(sys.modules, "greenlet")

    with held("k") as outer:
        monkeypatch.setitem(sys.modules, "greenlet", greenlet)
        with held("k") as inner:
            assert inner is outer


def test_each_greenlet_is_a_place_of_its_own(held: Any) -> None:
    greenlet = pytest.importorskip("greenlet")

    def ask() -> None:
        with pytest.raises(LockConflict), held("k"):
            pytest.fail("it is not given")

    with held("k"):
        greenlet.greenlet(ask).switch()


def test_what_is_lost_is_not_held_any_more(held: Any, engine: Engine) -> None:
    with held("k", ttl=30) as outer:
        engine.store.inner.free("k", outer.holder)
        engine.move(11)

        with held("k") as inner:
            assert inner is not outer
            assert not inner.lost


def test_each_asyncio_task_is_a_place_of_its_own(held: Any) -> None:
    async def enter() -> str:
        with held("k") as lease:
            inside = held("k")
            with inside as same:
                assert same is lease
            await asyncio.sleep(0)
            return "given"

    async def both() -> list[Any]:
        return await asyncio.gather(enter(), enter(), return_exceptions=True)

    given, error = asyncio.run(both())

    assert given == "given"
    assert isinstance(error, LockConflict)


def test_coroutines_of_a_block_do_not_share_its_key(held: Any) -> None:
    async def enter() -> None:
        with held("k"):
            pytest.fail("it is not given")

    with held("k"), pytest.raises(LockConflict):
        asyncio.run(enter())


def test_a_thread_of_asyncio_may_hold_a_key_and_is_a_place_of_its_own(held: Any) -> None:
    def enter() -> str:
        with held("k") as lease:
            return str(lease.key)

    async def main() -> None:
        assert await asyncio.to_thread(enter) == "k"
        with held("k"), pytest.raises(LockConflict):
            await asyncio.to_thread(enter)

    asyncio.run(main())


# -- within and around tasks -----------------------------------------------------------------


def test_a_task_that_has_the_key_may_call_a_function_that_holds_it(
    app: Celery, engine: Engine, held: Any
) -> None:
    @held("user:{user_id}")
    def charge(user_id: int) -> str:
        return str(current_lease().holder)

    @locked(app, Lock("user:{user_id}"), name="t")
    def task(user_id: int) -> tuple[str, str]:
        return charge(user_id), current_lease().holder

    ended = deliver(task, 7)

    inner, outer = ended.result
    assert inner == outer
    assert outer.startswith("id-1#")
    assert len(engine.told(Acquired)) == 1


def test_a_task_with_another_key_takes_the_one_of_the_function(
    app: Celery, engine: Engine, held: Any
) -> None:
    @locked(app, Lock("a"), name="t")
    def task() -> list[str]:
        keys = [current_lease().key]
        with held("b"):
            keys.append(current_lease().key)
        return [*keys, current_lease().key]

    assert deliver(task).result == ["a", "b", "a"]
    assert [fact.key for fact in engine.told(Released)] == ["b", "a"]


def test_coroutines_of_a_body_do_not_share_its_key(app: Celery, held: Any) -> None:
    async def enter() -> str:
        with held("k"):
            return "given"

    @locked(app, Lock("k"), name="t")
    def task() -> Any:
        return asyncio.run(enter())

    assert isinstance(deliver(task).result, LockConflict)


def test_a_task_and_a_block_keep_each_other_out(app: Celery, engine: Engine, held: Any) -> None:
    @locked(app, Lock("k"), name="t")
    def task() -> None:
        pytest.fail("it is not run")

    with held("k"):
        deliver(task)

    assert len(engine.sent) == 1


def test_an_eager_task_does_not_wait_for_the_block_around_it(
    app: Celery, engine: Engine, held: Any
) -> None:
    @locked(app, Lock("k", on_conflict=wait(20)), name="t")
    def task() -> None:
        """Do nothing."""

    began = engine.clock()
    with held("k"), pytest.raises(LockConflict, match=r"held by hold\(\)"):
        task.apply(throw=True)

    assert engine.clock() == began


def test_the_innermost_lease_is_the_current_one(app: Celery, held: Any) -> None:
    @locked(app, Lock("a"), name="t")
    def task() -> str:
        return current_lease().key

    with held("b") as outer:
        assert task.apply().get() == "a"
        assert current_lease() is outer


def test_outside_of_the_block_there_is_no_current_lease(held: Any) -> None:
    with held("k"):
        """Do nothing."""

    with pytest.raises(LockError, match=r"no hold\(\) is entered"):
        current_lease()


def test_what_inherits_the_context_of_a_block_finds_its_lease(held: Any) -> None:
    async def main() -> Any:
        with held("k") as lease:
            return lease, await asyncio.to_thread(current_lease)

    one, two = asyncio.run(main())

    assert one is two


# -- a function ------------------------------------------------------------------------------


def test_a_function_holds_the_key_of_its_arguments(held: Any, engine: Engine) -> None:
    @held("order:{order_id}:{kind}")
    def ship(order_id: int, *, kind: str = "parcel") -> str:
        """Send it."""
        return str(current_lease().key)

    assert ship(7) == "order:7:parcel"
    assert ship(order_id=7, kind="a:b") == "order:7:a%3Ab"
    assert (ship.__name__, ship.__doc__) == ("ship", "Send it.")
    assert engine.holder_of("order:7:parcel") is None


def test_a_key_function_gets_the_arguments(held: Any) -> None:
    @held(lambda order_id, kind: f"{kind}-{order_id}")
    def ship(order_id: int, kind: str = "parcel") -> str:
        return str(current_lease().key)

    assert ship(7) == "parcel-7"


def test_a_method_holds_the_key_of_its_arguments(held: Any) -> None:
    class Shop:
        @held("order:{order_id}")
        def ship(self, order_id: int) -> str:
            return str(current_lease().key)

        @held("order:{order_id}")
        @staticmethod
        def pack(order_id: int) -> str:
            return str(current_lease().key)

        @held("order:{order_id}")
        @classmethod
        def send(cls, order_id: int) -> str:
            return f"{cls.__name__} {current_lease().key}"

    assert (Shop().ship(7), Shop.pack(7), Shop().pack(7)) == ("order:7",) * 3
    assert (Shop.send(7), Shop().send(7)) == ("Shop order:7",) * 2


def test_a_function_that_calls_itself_holds_its_key_once(held: Any, engine: Engine) -> None:
    @held("k")
    def down(depth: int) -> int:
        return depth if depth == 0 else down(depth - 1)

    assert down(5) == 0
    assert len(engine.told(Acquired)) == 1
    assert engine.holder_of() is None


def test_threads_share_a_decorated_function_and_not_its_key(held: Any) -> None:
    @held("k")
    def outer() -> LockConflict:
        return refused(lambda key: held(key))

    assert outer().key == "k"


def test_wrong_arguments_are_the_type_error_that_they_would_be(held: Any) -> None:
    @held("order:{order_id}")
    def ship(order_id: int) -> None:
        """Send it."""

    with pytest.raises(TypeError, match=r"ship cannot be called with.*'order_id'; it takes \(ord"):
        ship()
    with pytest.raises(TypeError, match="speed"):
        ship(7, speed=3)


async def coroutine_function() -> None:
    """Do nothing."""


def generator_function() -> Iterator[int]:
    yield 1


async def async_generator_function() -> Any:
    yield 1


class Awaitable:
    async def __call__(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (coroutine_function, "a coroutine function"),
        (partial(coroutine_function), "a coroutine function"),
        (Awaitable(), "a coroutine function"),
        (generator_function, "a generator function"),
        (async_generator_function, "an async generator function"),
    ],
)
def test_what_runs_after_its_call_is_refused_where_it_is_decorated(
    held: Any, function: Any, what: str
) -> None:
    with pytest.raises(LockConfigurationError, match=f"it is {what}, so the key would be given"):
        held("k")(function)


@pytest.mark.parametrize("function", [coroutine_function, generator_function])
def test_what_a_function_returns_to_be_run_later_is_refused(
    held: Any, engine: Engine, function: Any
) -> None:
    late = held("k")(lambda: function())

    with pytest.raises(
        LockConfigurationError, match=r"it returned a .*the key would be given back"
    ):
        late()

    assert engine.holder_of() is None


@pytest.mark.parametrize("what", [Engine, 7, "x"])
def test_only_a_function_can_be_decorated(held: Any, what: Any) -> None:
    with pytest.raises(LockConfigurationError, match="decorates a function"):
        held("k")(what)


def test_a_task_gets_a_lock_instead(held: Any, app: Celery) -> None:
    @locked(app, name="t")
    def task() -> None:
        """Do nothing."""

    with pytest.raises(LockConfigurationError, match=r"is a Celery task; write.*lock=Lock"):
        held("k")(task)


def test_a_coroutine_is_told_what_to_write(held: Any) -> None:
    async def main() -> None:
        async with held("k"):
            pytest.fail("it is not entered")

    with pytest.raises(LockConfigurationError, match=r"await asyncio\.to_thread"):
        asyncio.run(main())


# -- another process, another thread ---------------------------------------------------------


def test_a_child_gives_nothing_back(held: Any, engine: Engine, app: Celery) -> None:
    with held("k") as lease:
        home = this_process.drop()
        engine.keeper._own.drop()  # what a fork does
        with pytest.raises(LockError, match="forked from the one that runs the block of hold"):
            current_lease()
        with pytest.raises(LockConflict, match=r"held by hold\(\)"), held("k"):
            pytest.fail("it is its parent's")

    engine.settle()
    assert engine.holder_of() is not None
    assert home is not None
    assert lease.key == "k"


def test_a_block_may_be_left_in_another_thread(held: Any, engine: Engine) -> None:
    key = held("k")
    key.__enter__()

    thread = threading.Thread(target=key.__exit__, args=(None, None, None))
    thread.start()
    thread.join()

    assert engine.holder_of() is None


def test_a_hold_that_nobody_entered_cannot_be_left(held: Any) -> None:
    with pytest.raises(LockError, match=r"hold\('k'\) is left in a thread that has not entered it"):
        held("k").__exit__(None, None, None)


def test_it_says_what_it_has_not(held: Any) -> None:
    with pytest.raises(AttributeError, match=r"a hold\(\) has no acquire\(\); write `with hold"):
        held("k").acquire()
    assert not hasattr(held("k"), "__wrapped__")
    assert repr(held("k")) == "<hold('k')>"


def test_peek_says_who_has_a_key(held: Any, app: Celery, engine: Engine) -> None:
    assert peek("k", app) is None

    with held("k"):
        engine.move(5)
        there = peek("k", app=app)

    assert there is not None
    assert (there.key, there.state, there.holder.pid) == ("k", "held", os.getpid())
    assert there.holders == (there.holder,)
    assert there.held_for == pytest.approx(5, abs=0.1)
    assert there.since == there.holder.since
    assert str(there).startswith("lock 'k' is held by hold() on ")
    assert str(there).endswith(f", since {moment(there.since)}")


def test_peek_lists_all_who_have_a_permit(app: Celery, engine: Engine) -> None:
    engine.hold(task_id="a", limit=2)
    engine.hold(task_id="b", limit=2, ttl=10)

    there = peek("k", app)

    assert there is not None
    assert [one.task_id for one in there.holders] == ["a", "b"]
    assert there.holder.task_id == "b"


@pytest.mark.parametrize("key", ["", "a\nb", 7])
def test_peek_refuses_what_is_no_key(app: Celery, key: Any) -> None:
    with pytest.raises(LockError):
        peek(key, app)


def test_a_hold_writes_no_line_above_debug_where_nothing_is_wrong(
    held: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "celery_lock"), held("k"):
        """Do nothing."""

    assert caplog.records == []
