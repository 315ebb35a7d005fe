"""The steady clock: the later of two, on every system."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from celery_lock.model import clock
from celery_lock.stores.redis.link import server


def with_clocks(monkeypatch: pytest.MonkeyPatch, monotonic: float, boottime: object) -> None:
    def gettime(_: int) -> float:
        if isinstance(boottime, BaseException):
            raise boottime
        assert isinstance(boottime, float)
        return boottime

    clocks = SimpleNamespace(monotonic=lambda: monotonic, clock_gettime=gettime)
    monkeypatch.setattr(clock, "time", clocks)
    monkeypatch.setattr(clock, "monotonic", clocks.monotonic)
    monkeypatch.setattr(clock, "_BOOTTIME", 7)


def test_time_goes_on_while_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    with_clocks(monkeypatch, monotonic=100.0, boottime=3700.0)

    assert clock.steady() == 3700.0


def test_the_later_of_the_two_clocks_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    with_clocks(monkeypatch, monotonic=100.0, boottime=99.0)

    assert clock.steady() == 100.0


def test_a_sandbox_that_forbids_the_second_clock_leaves_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_clocks(monkeypatch, monotonic=100.0, boottime=PermissionError())

    assert clock.steady() == 100.0


def test_a_system_without_the_second_clock_uses_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with_clocks(monkeypatch, monotonic=100.0, boottime=3700.0)
    monkeypatch.setattr(clock, "_BOOTTIME", None)

    assert clock.steady() == 100.0


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
