"""Tasks without a lock: the proof that the services work, and the measure for tasks with one."""

from __future__ import annotations

import os
import time

from celery import shared_task


@shared_task
def add_up(*numbers: int) -> int:
    """The sum."""
    return sum(numbers)


@shared_task
def whereabouts() -> int:
    """The process that runs it."""
    return os.getpid()


@shared_task
def sleep_for(seconds: float) -> float:
    """A body that takes its time, and says when it begins: `received` is earlier than that."""
    print(f"sleeping for {seconds:g} s")
    time.sleep(seconds)
    return seconds
