"""Who may watch: one for each key, so many in all, in the order of arrival."""

from __future__ import annotations

import threading

import pytest

from celery_lock.stores.redis.link import watch_slots as module
from celery_lock.stores.redis.link.watch_slots import Turns

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.005)


class Waiter(threading.Thread):
    def __init__(self, turns: Turns, key: str, seconds: float = 5.0) -> None:
        super().__init__(daemon=True)
        self.key = key
        self.turn: bool | None = None
        self._ask = lambda: turns.take(key, seconds)
        self.start()

    def run(self) -> None:
        self.turn = self._ask()


def queued(turns: Turns, count: int) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if len(turns._queue) == count:
            return
        pause.wait(0.002)
    raise AssertionError(f"{len(turns._queue)} in the queue, not {count}")


def test_the_first_of_a_key_has_its_turn_at_once() -> None:
    assert Turns(1).take("a", 5.0) is True


def test_the_second_of_a_key_has_its_turn_when_the_first_has_left() -> None:
    turns = Turns(4)
    turns.take("a", 5.0)
    second = Waiter(turns, "a")
    queued(turns, 1)

    turns.give("a")

    second.join(5)
    assert second.turn is True


def test_turns_of_a_key_come_in_the_order_of_arrival() -> None:
    turns = Turns(4)
    turns.take("a", 5.0)
    waiters = []
    for number in range(5):
        waiters.append(Waiter(turns, "a"))
        queued(turns, number + 1)

    for number, waiter in enumerate(waiters):
        turns.give("a")
        waiter.join(5)
        assert [one.turn for one in waiters] == [True] * (number + 1) + [None] * (4 - number)


def test_a_key_that_nobody_watches_is_tried_when_all_turns_are_taken() -> None:
    turns = Turns(1)
    turns.take("a", 5.0)

    assert turns.take("b", 5.0) is False

    assert not turns._queue


def test_a_waiter_gives_up_in_time_and_leaves_the_queue() -> None:
    turns = Turns(4)
    turns.take("a", 5.0)

    assert turns.take("a", 0.02) is False

    assert not turns._queue
    turns.give("a")
    assert turns.take("a", 0.0) is True


def test_a_turn_that_comes_free_goes_to_a_key_that_is_not_watched() -> None:
    turns = Turns(2)
    turns.take("a", 5.0)
    turns.take("b", 5.0)
    other_a = Waiter(turns, "a")
    queued(turns, 1)

    turns.give("b")
    turns.give("a")

    other_a.join(5)
    assert other_a.turn is True
    assert turns.take("b", 0.0) is True
