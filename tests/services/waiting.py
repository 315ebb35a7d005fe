"""Waiting for something to become true: polling with a deadline, never a fixed sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

STALL = 1.5
"""Seconds for which a process of a busy machine may stand still: 0.9 was seen, of dozens on two
cores. What is promised within a time has so much more in a test that runs beside others."""

POLL = 0.02
"""Seconds between two looks. Less costs processor time that the servers need; more, waiting."""


class WaitedTooLong(AssertionError):
    """What a test waited for did not come; the message says what it was."""


def wait_for(
    probe: Callable[[], T],
    what: str,
    *,
    timeout: float = 15.0,
    poll: float = POLL,
    explain: Callable[[], str] | None = None,
) -> T:
    """Call `probe` until it answers something true, and return that answer.

    `timeout` is in seconds; a generous one costs nothing when all is well, a short one fails on a
    busy machine. `explain` is asked for the details only when the wait was in vain.

    Raises:
        WaitedTooLong: naming `what`.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            details = f"\n{explain()}" if explain else ""
            raise WaitedTooLong(f"waited {timeout:g} s in vain for {what}{details}")
        time.sleep(poll)
