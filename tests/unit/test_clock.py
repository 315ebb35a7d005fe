"""The steady clock: the one that goes on in a suspend, on every system that has it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from celery_lock.model import clock
from celery_lock.stores.redis.link import server


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., float]:
    """What is read on a system with these clocks."""

    def read(monotonic: float, **boottime: object) -> float:
        def gettime(number: int) -> float:
            said = boottime["boottime"]
            if isinstance(said, BaseException):
                raise said
            assert (number, type(said)) == (7, float)
            return said  # type: ignore[return-value]

        clocks = SimpleNamespace(clock_gettime=gettime)
        if boottime:
            clocks.CLOCK_BOOTTIME = 7
        monkeypatch.setattr(clock, "time", clocks)
        monkeypatch.setattr(clock, "monotonic", lambda: monotonic)
        return clock._goes_on_in_a_suspend()()

    return read


def test_time_goes_on_while_the_machine_is_suspended(chosen: Callable[..., float]) -> None:
    assert chosen(monotonic=100.0, boottime=3700.0) == 3700.0


def test_a_clock_that_is_behind_the_other_is_not_believed(chosen: Callable[..., float]) -> None:
    assert chosen(monotonic=100.0, boottime=99.0) == 100.0


def test_a_sandbox_that_forbids_the_second_clock_leaves_the_first(
    chosen: Callable[..., float],
) -> None:
    assert chosen(monotonic=100.0, boottime=PermissionError()) == 100.0


def test_a_system_without_the_second_clock_uses_the_first(chosen: Callable[..., float]) -> None:
    assert chosen(monotonic=100.0) == 100.0


def test_the_real_one_goes_with_the_system() -> None:
    before = time.monotonic()

    assert clock.steady() >= before


def test_a_test_that_puts_another_clock_in_place_moves_no_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As freezegun does it: by the functions of `time`, in each module that has one."""
    real = {id(getattr(time, name)): name for name in ("time", "monotonic", "perf_counter")}
    before = clock.steady()

    for module in [m for name, m in sys.modules.items() if name.startswith("celery_lock")] + [time]:
        for name, value in list(vars(module).items()):
            if id(value) in real:
                monkeypatch.setattr(module, name, lambda: 1.7e9)

    assert time.monotonic() == 1.7e9
    assert 0 <= clock.steady() - before < 60
    assert abs(server.monotonic() - clock.monotonic()) < 60
