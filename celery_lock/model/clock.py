"""Time that nobody can set: what leases, waits and pauses are measured with.

A clock is any function that returns seconds from an arbitrary start and never goes back.
Tests pass one of their own; nothing in this package calls `time` for a decision otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

__all__ = ["Clock", "monotonic", "steady"]

Clock = Callable[[], float]

# Libraries that freeze the time for a test put a function of their own in place of
# time.monotonic in every module that has it: with its clock at rest no wait would ever end, and
# with 1.7 billion for a number of seconds since the boot every lease would be lost at once.
monotonic: Clock = (
    partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    if hasattr(time, "clock_gettime") and hasattr(time, "CLOCK_MONOTONIC")
    else partial(time.monotonic)
)
"""Seconds since some moment, by the real clock, whatever a test has put in its place since."""

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux only


def steady() -> float:
    """Seconds that go on while the machine is suspended, wherever the system can tell.

    `CLOCK_MONOTONIC` stands still during a suspend on Linux, so a laptop or a paused virtual
    machine would believe in a lease that has long ended. Both clocks count from the boot: the
    later of the two is right.
    """
    now = monotonic()
    if _BOOTTIME is None:
        return now
    try:
        since_boot = time.clock_gettime(_BOOTTIME)
    except OSError:  # a sandbox may forbid this clock
        return now
    return since_boot if since_boot > now else now
