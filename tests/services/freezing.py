"""Freezing processes: the signal is not the stop, and a server has many threads."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from tests.services.waiting import wait_for

__all__ = ["freeze"]

_AT_REST = "TtZX"
"""Stopped, or dead, as Linux writes the state of a thread."""


def freeze(pids: Iterable[int]) -> None:
    """Send SIGSTOP to each, in this order, and return when none of their threads runs any more.

    The kernel gives the signal to one thread, which stops the others when it is next on a
    processor. Until then they may answer a question, on a machine that has much to do.
    """
    sent = list(pids)
    for pid in sent:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    for pid in sent:
        wait_for(partial(_is_at_rest, pid), f"the stop of process {pid}", poll=0.001)


def _is_at_rest(pid: int) -> bool:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:  # it is dead, or this is no Linux
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
        return True
    return all(_state(thread) in _AT_REST for thread in threads)


def _state(thread: Path) -> str:
    """The letter behind the name, which may have brackets itself."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    return "X"
