"""A mutex is left taken by nobody, however an error gets into the thread that takes it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from celery_lock.model.mutex import Mutex, new_mutex, take

pytestmark = pytest.mark.unit

MANY = 500
LONG = 20.0


@contextmanager
def held_elsewhere(mutex: Any) -> Iterator[None]:
    """Another thread has it for as long as the block lasts."""
    has, gives = threading.Event(), threading.Event()

    def hold() -> None:
        with mutex:
            has.set()
            gives.wait(LONG)

    thread = threading.Thread(target=hold)
    thread.start()
    assert has.wait(LONG)
    try:
        yield
    finally:
        gives.set()
        thread.join(LONG)


def is_free(mutex: Any) -> bool:
    """Whether another thread would get it."""
    found: list[bool] = []

    def look() -> None:
        if take(mutex, 0):
            mutex.release()
            found.append(True)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(LONG)
    return found == [True]


@pytest.fixture
def limits() -> Iterator[Any]:
    """A soft time limit as Celery has it: a signal whose handler raises, again and again."""

    def stop(number: int, frame: Any) -> None:
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGALRM, stop)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, 0.0002)
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)


def use(mutex: Any, begin: Any) -> None:
    begin()
    while True:
        with mutex:
            pass


def use_taken(mutex: Any, begin: Any) -> None:
    begin()
    while True:
        if take(mutex, 0):
            try:
                pass
            finally:
                mutex.release()


@pytest.mark.parametrize(
    "use",
    [
        use,
        pytest.param(
            use_taken,
            marks=pytest.mark.skipif(
                sys.version_info < (3, 11), reason="Python 3.10 raises between any two steps"
            ),
        ),
    ],
)
def test_a_time_limit_leaves_no_mutex_taken(use: Any, limits: Any) -> None:
    mutex = new_mutex()

    for _ in range(MANY):
        with pytest.raises(SoftTimeLimitExceeded):
            use(mutex, limits)

        assert not mutex._is_owned()


def _waits(wait: Any, mutex: Any, begin: Any) -> None:
    begin()
    wait(mutex)


def test_who_does_not_get_it_in_time_has_nothing() -> None:
    mutex = new_mutex()

    with held_elsewhere(mutex):
        assert not take(mutex, 0)
        assert not take(mutex, 0.01)
        assert not is_free(mutex)

    assert is_free(mutex)


def test_a_time_limit_while_it_is_waited_for_leaves_it_to_its_owner(limits: Any) -> None:
    mutex = new_mutex()

    with held_elsewhere(mutex):
        for wait in (take, Mutex.__enter__):
            with pytest.raises(SoftTimeLimitExceeded):
                _waits(wait, mutex, limits)

        assert not is_free(mutex)
    assert is_free(mutex)


def test_what_is_taken_twice_is_given_back_twice() -> None:
    mutex = new_mutex()

    with mutex:
        with mutex:
            assert not is_free(mutex)
        assert not is_free(mutex)

    assert is_free(mutex)


def test_a_condition_can_be_made_over_it() -> None:
    mutex = new_mutex()
    changed = threading.Condition(mutex)

    with mutex:
        assert not changed.wait(0.01)
        changed.notify_all()

    assert is_free(mutex)


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import gevent
from celery_lock.model.mutex import Mutex, new_mutex, take

mutex, seen = new_mutex(), []

def second():
    seen.append(take(mutex, 0))
    with mutex:
        seen.append("second")

with mutex:
    other = gevent.spawn(second)
    gevent.sleep(0.01)
    seen.append("first")
other.join()
print(isinstance(mutex, Mutex), seen)
"""


def test_greenlets_are_kept_apart_as_threads_are() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GREENLETS], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "False [False, 'first', 'second']\n"
    assert type(new_mutex()) is Mutex
