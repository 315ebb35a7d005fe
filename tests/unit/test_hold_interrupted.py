"""A signal, a stop or an asynchronous exception may fall between any two steps of a `hold()`: no
key stays taken."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from celery import Celery

from celery_lock import LeaseLost, hold
from celery_lock.events import Acquired

from .engine import Engine
from .test_interrupted import stopped

pytestmark = pytest.mark.unit


def block(app: Celery) -> None:
    with hold("k", max_wait=20, app=app) as lease:
        lease.check()


def block_in_a_block(app: Celery) -> None:
    with hold("k", max_wait=20, app=app), hold("k", max_wait=0, app=app):
        pass


def function(app: Celery) -> None:
    @hold("{key}", max_wait=20, app=app)
    def body(key: str) -> None:
        """Do nothing."""

    body("k")


def block_of_a_module(app: Celery) -> None:
    with NAMED[app]:
        pass


def block_of_a_module_in_itself(app: Celery) -> None:
    with NAMED[app], NAMED[app]:
        pass


NAMED: dict[Celery, hold] = {}

STORIES: dict[str, tuple[Callable[[Celery], None], Callable[[Engine], Any]]] = {
    "a block": (block, lambda engine: None),
    "a block that waits": (block, lambda engine: engine.hold(ttl=0.5)),
    "a block in a block": (block_in_a_block, lambda engine: None),
    "a block of a module": (block_of_a_module, lambda engine: None),
    "a block of a module in itself": (block_of_a_module_in_itself, lambda engine: None),
    "a function": (function, lambda engine: None),
    "a function that waits": (function, lambda engine: engine.hold(ttl=0.5)),
}


@pytest.mark.parametrize("story", STORIES)
def test_at_no_moment_of_a_hold_does_a_stop_leave_the_key_taken(story: str) -> None:
    run, begin = STORIES[story]
    app = Engine().app()
    NAMED[app] = hold("k", max_wait=20, app=app)
    moment = 0
    hit = True
    while hit:
        moment += 1
        engine = Engine()
        engine.install(app)
        begin(engine)

        stop = SystemExit(1)
        hit = stopped(moment, stop, lambda: run(app))
        stop.__traceback__ = None  # its history keeps the frames that it has passed

        engine.settle()
        assert len(engine.keeper) == 0, moment
        assert engine.holder_of() is None, moment
    assert moment > 40


def test_a_stop_as_a_block_ends_does_not_leave_it_entered(app: Celery, engine: Engine) -> None:
    """The next one in this place would have the key that nobody gives back."""
    key = hold("k", max_wait=0, app=app)
    for moment in range(1, 400):
        stop = SystemExit(1)

        def enter() -> None:
            with key:
                pass

        hit = stopped(moment, stop, enter)
        stop.__traceback__ = None
        engine.settle()

        with key as lease:
            assert engine.told(Acquired)[-1].holder == lease.holder
        assert engine.holder_of() is None
        if not hit:
            return
    pytest.fail("it has too many moments")


def test_a_stack_of_blocks_is_left_as_it_is_entered(app: Celery, engine: Engine) -> None:
    key = hold("k", max_wait=0, app=app)
    with ExitStack() as stack:
        lease = stack.enter_context(key)
        stack.enter_context(key)
        engine.move(60)
        assert not lease.lost

    assert engine.holder_of() is None


def test_a_block_that_was_entered_and_never_left_ends_with_its_hold(
    app: Celery, engine: Engine
) -> None:
    held = hold("k", max_wait=0, app=app)
    lease = held.__enter__()
    engine.move(60)
    assert engine.holder_of() is not None

    del held
    engine.settle()

    assert engine.holder_of() is None
    assert lease.lost
    with pytest.raises(LeaseLost, match="released"):
        lease.check()


def test_an_abandoned_generator_gives_its_key_back_without_a_call_in_the_collector(
    app: Celery, engine: Engine
) -> None:
    def rows() -> Iterator[int]:
        with hold("k", max_wait=0, app=app):
            yield 1
            yield 2

    abandoned = [rows()]
    abandoned.append(abandoned)  # type: ignore[arg-type]  # a ring: the collector has to end it
    next(abandoned[0])
    calls = list(engine.store.calls)

    abandoned.clear()
    del abandoned
    gc.collect()
    assert engine.store.calls == calls
    engine.settle()

    assert engine.holder_of() is None


def test_a_generator_that_is_read_to_its_end_gives_its_key_back_at_once(
    app: Celery, engine: Engine
) -> None:
    def rows() -> Iterator[int]:
        with hold("k", max_wait=0, app=app):
            yield 1

    assert list(rows()) == [1]

    assert engine.holder_of() is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, ValueError])
def test_whatever_ends_the_block_gives_the_key_back(
    app: Celery, engine: Engine, error: type[BaseException]
) -> None:
    with pytest.raises(error), hold("k", max_wait=0, app=app):
        raise error

    engine.settle()
    assert engine.holder_of() is None


def test_what_the_main_thread_has_not_left_is_given_back_as_the_process_leaves(
    app: Celery, engine: Engine
) -> None:
    held = hold("k", max_wait=0, app=app)
    held.__enter__()

    engine.pending.make_now()

    assert engine.holder_of() is None
