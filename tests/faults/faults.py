"""What is done from outside to bodies that run."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.faults.setup import Setup
from tests.services import Proxy, Worker

__all__ = ["FAULTS", "SOFT", "BusyWorker"]

SOFT = 1.0
"""Seconds of a soft shutdown: too few for a body that waits."""


@dataclass(frozen=True)
class BusyWorker:
    """A worker in the midst of its bodies."""

    setup: Setup
    worker: Worker
    wire: Proxy | None
    pids: Sequence[int]
    """The processes in which the bodies run."""
    task_ids: Sequence[str]


def nothing(busy: BusyWorker) -> None:
    """The body ends by itself, or Celery ends it."""


def _child(number: int) -> Callable[[BusyWorker], None]:
    def fault(busy: BusyWorker) -> None:
        for pid in set(busy.pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    return fault


def _revoke(name: str) -> Callable[[BusyWorker], None]:
    def fault(busy: BusyWorker) -> None:
        busy.setup.app.control.revoke(
            list(busy.task_ids),
            terminate=True,
            signal=f"SIG{name}",
            destination=[busy.worker.hostname],
        )

    return fault


def _main(number: int) -> Callable[[BusyWorker], None]:
    def fault(busy: BusyWorker) -> None:
        busy.worker.process.signal(number)

    return fault


def lose_machine(busy: BusyWorker) -> None:
    """Nothing more comes from it, not even the end of its connections."""
    assert busy.wire is not None
    busy.wire.swallow()
    busy.worker.process.kill()


def pause(busy: BusyWorker) -> None:
    """The worker stands still for twice its ttl."""
    busy.worker.pause()
    time.sleep(2 * busy.setup.kind.ttl)
    busy.worker.resume()


FAULTS: dict[str, Callable[[BusyWorker], None]] = {
    "nothing": nothing,
    "kill child": _child(signal.SIGKILL),
    "terminate child": _child(signal.SIGTERM),
    "revoke TERM": _revoke("TERM"),
    "revoke KILL": _revoke("KILL"),
    "revoke USR1": _revoke("USR1"),
    "warm": _main(signal.SIGTERM),
    "cold": _main(signal.SIGQUIT),
    "soft": _main(signal.SIGQUIT),
    "kill worker": _main(signal.SIGKILL),
    "lose machine": lose_machine,
    "pause": pause,
}
