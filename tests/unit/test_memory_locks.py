"""The locks of a test that are asked for in a wrong way say what is wanted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery, current_app

from celery_lock import Lock, LockConfigurationError, LockError, is_skipped, skip
from celery_lock.testing import MemoryLocks, memory_locks

from .engine import locked

pytestmark = pytest.mark.unit

TOO_SHORT = "must be zero or more seconds, and finite"


@pytest.mark.parametrize("what", ["shop", None, 7, len])
def test_what_is_no_app_has_no_locks(what: Any) -> None:
    with (
        pytest.raises(LockConfigurationError, match=r"^memory_locks\(app\): .* is no Celery app"),
        memory_locks(what),
    ):
        pytest.fail("it is not given")


def test_a_proxy_of_an_app_is_looked_through(app: Celery) -> None:
    app.set_current()

    with memory_locks(current_app) as locks:
        locks.hold("k")
        with memory_locks(app) as own:
            assert own.holder("k") is None
        assert locks.holder("k") is not None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda locks: locks.hold(7), r"hold\(key\)=7 is no key; give a text"),
        (lambda locks: locks.hold(""), r"hold\(key\)='' is no key"),
        (lambda locks: locks.hold("k", ttl="30"), r"hold\(ttl\)='30' is no duration"),
        (lambda locks: locks.hold("k", ttl=0), r"hold\(ttl\)=0 must be more than zero seconds"),
        (lambda locks: locks.advance("60"), r"advance\(seconds\)='60' is no duration"),
        (lambda locks: locks.advance(-5), rf"advance\(seconds\)=-5 {TOO_SHORT}"),
        (lambda locks: locks.advance(float("nan")), rf"advance\(seconds\)=nan {TOO_SHORT}"),
        (lambda locks: locks.key_of("shop.top_up", 7), "'shop.top_up' is no task; give the task"),
        (lambda locks: locks.keys_of(len), "<built-in function len> is no task; give the task"),
    ],
)
def test_a_wrong_call_says_what_is_wanted(
    app: Celery, call: Callable[[MemoryLocks], object], said: str
) -> None:
    with memory_locks(app) as locks, pytest.raises(LockError, match=said):
        call(locks)


def test_a_signature_is_no_task(app: Celery) -> None:
    @locked(app, Lock("order:{n}"))
    def ship(n: int) -> None: ...

    with memory_locks(app) as locks, pytest.raises(LockError, match="is no task; give the task"):
        locks.key_of(ship.s(7))


def test_a_time_may_be_a_timedelta(app: Celery) -> None:
    @locked(app, Lock("order:{n}", on_conflict=skip()))
    def ship(n: int) -> None: ...

    with memory_locks(app) as locks:
        locks.hold(locks.key_of(ship, 7), ttl=timedelta(minutes=1))
        locks.advance(timedelta(seconds=59))
        assert is_skipped(ship.apply([7]).get())
        locks.advance(1)
        assert not is_skipped(ship.apply([7]).get())
