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


def _goes_on_in_a_suspend() -> Clock:
    """Return the clock that does so where the system has one, else the other; chosen once.

    Both count from the boot, so one that is behind the other is not what it should be. A sandbox
    may forbid the clock, or know of none.
    """
    number: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux only
    if number is None:
        return monotonic
    now = monotonic()
    try:
        since_boot = time.clock_gettime(number)
    except OSError:
        return monotonic
    return partial(time.clock_gettime, number) if since_boot >= now else monotonic


steady: Clock = _goes_on_in_a_suspend()
"""Seconds that go on while the machine is suspended, wherever the system can tell.

`CLOCK_MONOTONIC` stands still during a suspend on Linux, so a laptop or a paused virtual machine
would believe in a lease that has long ended. Each run looks at this clock half a dozen times.
"""
