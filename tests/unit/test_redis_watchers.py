"""Who may watch: one for each key, so many in all, in the order of arrival."""

from __future__ import annotations

import threading

import pytest

from celery_lock.stores.link import watchers as module
from celery_lock.stores.link.watchers import Watchers

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_AFTER", 0.005)


class Waiter(threading.Thread):
    def __init__(self, watchers: Watchers, key: str, seconds: float = 5.0) -> None:
        super().__init__(daemon=True)
        self.key = key
        self.admitted: bool | None = None
        self._ask = lambda: watchers.enter(key, seconds)
        self.start()

    def run(self) -> None:
        self.admitted = self._ask()


def queued(watchers: Watchers, count: int) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if len(watchers._queue) == count:
            return
        pause.wait(0.002)
    raise AssertionError(f"{len(watchers._queue)} in the queue, not {count}")


def test_the_first_of_a_key_is_let_in_at_once() -> None:
    assert Watchers(1).enter("a", 5.0) is True


def test_the_second_of_a_key_is_let_in_when_the_first_has_left() -> None:
    watchers = Watchers(4)
    watchers.enter("a", 5.0)
    second = Waiter(watchers, "a")
    queued(watchers, 1)

    watchers.leave("a")

    second.join(5)
    assert second.admitted is True


def test_the_watchers_of_a_key_are_let_in_in_the_order_of_arrival() -> None:
    watchers = Watchers(4)
    watchers.enter("a", 5.0)
    waiters = []
    for number in range(5):
        waiters.append(Waiter(watchers, "a"))
        queued(watchers, number + 1)

    for number, waiter in enumerate(waiters):
        watchers.leave("a")
        waiter.join(5)
        assert [one.admitted for one in waiters] == [True] * (number + 1) + [None] * (4 - number)


def test_a_key_that_nobody_watches_is_tried_when_no_more_are_let_in() -> None:
    watchers = Watchers(1)
    watchers.enter("a", 5.0)

    assert watchers.enter("b", 5.0) is False

    assert not watchers._queue


def test_a_waiter_gives_up_in_time_and_leaves_the_queue() -> None:
    watchers = Watchers(4)
    watchers.enter("a", 5.0)

    assert watchers.enter("a", 0.02) is False

    assert not watchers._queue
    watchers.leave("a")
    assert watchers.enter("a", 0.0) is True


def test_who_is_let_in_next_waits_for_a_key_that_is_not_watched() -> None:
    watchers = Watchers(2)
    watchers.enter("a", 5.0)
    watchers.enter("b", 5.0)
    other_a = Waiter(watchers, "a")
    queued(watchers, 1)

    watchers.leave("b")
    watchers.leave("a")

    other_a.join(5)
    assert other_a.admitted is True
    assert watchers.enter("b", 0.0) is True
