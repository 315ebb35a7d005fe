"""A value that belongs to one process: made once, by a forked child again, its parent's left."""

from __future__ import annotations

import importlib.util
import os
import threading
import weakref
from types import ModuleType
from typing import Any

import pytest

from celery_lock.model import per_process
from celery_lock.model.per_process import PerProcess

from .forking import holds_in_a_child

pytestmark = pytest.mark.unit

needs_forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


class Thing:
    """What a process has, and a lock that goes with it."""

    def __init__(self) -> None:
        self.made_in = os.getpid()
        self.lock = threading.Lock()


def test_it_is_made_at_the_first_use_and_is_the_same_from_then_on() -> None:
    made: list[Thing] = []

    def make() -> Thing:
        made.append(Thing())
        return made[-1]

    own = PerProcess(make)
    assert made == []

    assert own.value is own.value is made[0]
    assert len(made) == 1


@pytest.mark.parametrize("value", [None, 0, ""])
def test_a_value_that_says_nothing_is_a_value(value: object) -> None:
    made: list[object] = []

    def make() -> object:
        made.append(value)
        return value

    own = PerProcess(make)

    assert own.value == own.value == value
    assert len(made) == 1


@needs_forks
def test_a_child_makes_its_own_though_its_parents_lock_is_taken() -> None:
    own = PerProcess(Thing)
    ours = own.value

    def has_its_own() -> bool:
        mine = own.value
        return (
            mine is own.value is not ours
            and mine.made_in == os.getpid()
            and mine.lock.acquire(False)
        )

    with ours.lock:
        assert holds_in_a_child(has_its_own)
    assert own.value is ours


@needs_forks
def test_a_childs_child_makes_its_own_as_well() -> None:
    own = PerProcess(Thing)
    _ = own.value

    assert holds_in_a_child(
        lambda: (
            own.value.made_in == os.getpid()
            and holds_in_a_child(lambda: own.value.made_in == os.getpid())
            and own.value.made_in == os.getpid()
        )
    )


@needs_forks
def test_what_was_first_asked_for_in_a_child_is_not_its_parents() -> None:
    own = PerProcess(Thing)

    assert holds_in_a_child(lambda: own.value.made_in == os.getpid())
    assert own.value.made_in == os.getpid()


@needs_forks
def test_a_child_does_not_collect_what_its_parent_uses() -> None:
    """To collect a connection may be to end it, for both of them."""
    own = PerProcess(Thing)
    ours = weakref.ref(own.value)

    assert holds_in_a_child(lambda: own.value is not ours() is not None)


def test_of_several_threads_that_come_first_all_get_the_value_of_one() -> None:
    together = threading.Barrier(8)

    def make() -> Thing:
        together.wait(5)  # all of them are making one
        return Thing()

    own = PerProcess(make)
    got: list[Thing] = []
    threads = [threading.Thread(target=lambda: got.append(own.value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(got) == 8
    assert set(got) == {own.value}


def test_what_was_dropped_is_made_again() -> None:
    own = PerProcess(Thing)
    first = own.value

    assert own.drop() is first
    assert own.drop() is None
    assert own.value is not first


@needs_forks
def test_a_child_that_drops_its_own_has_nothing_of_its_parents_to_drop() -> None:
    own = PerProcess(Thing)
    _ = own.value

    assert holds_in_a_child(lambda: own.drop() is None)


def test_what_fails_as_it_is_made_is_tried_again() -> None:
    answers: list[Any] = [OSError("no route"), "there"]

    def make() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    own = PerProcess(make)

    with pytest.raises(OSError, match="no route") as raised:
        _ = own.value
    assert raised.value.__context__ is None
    assert own.value == "there"


def test_a_system_without_forks_has_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    spec = importlib.util.find_spec(per_process.__name__)
    assert spec is not None
    assert spec.loader is not None
    fresh: ModuleType = importlib.util.module_from_spec(spec)

    spec.loader.exec_module(fresh)

    own = fresh.PerProcess(Thing)
    assert own.value is own.value
