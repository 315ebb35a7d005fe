"""How a pool process kills itself, so that its main process knows what it did and sees it soon."""

from __future__ import annotations

import fcntl
import os
import signal
import termios
import time

from billiard.process import current_process
from celery.concurrency.asynpool import AsynPool

__all__ = ["be_known", "die", "see_deaths_soon"]


def see_deaths_soon() -> None:
    """Let the main process of this worker look after its pool often, and not each five seconds.

    The end of a process wakes it, at times before the kernel says which process has ended.
    """
    AsynPool.timers = property(lambda pool: {pool.maintain_pool: 0.1})


def be_known() -> None:
    """Wait until the main process has read that this process began its job.

    Of a process that died before that Celery tells nobody: the job goes to another one.
    """
    pipe = current_process().outq._writer.fileno()  # type: ignore[attr-defined]  # not in stubs
    unread = bytearray(4)
    while not fcntl.ioctl(pipe, termios.FIONREAD, unread) and any(unread):
        time.sleep(0.001)


def die() -> None:
    """End as by `kill -9`, which the main process sees."""
    be_known()
    os.kill(os.getpid(), signal.SIGKILL)
