"""What is done from outside to bodies that run."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.faults.ground import Ground
from tests.services import Proxy, Worker

__all__ = ["FAULTS", "SOFT", "Scene"]

SOFT = 1.0
"""Seconds of a soft shutdown: too few for a body that waits."""


@dataclass(frozen=True)
class Scene:
    """A worker in the midst of its bodies."""

    ground: Ground
    worker: Worker
    wire: Proxy | None
    pids: Sequence[int]
    """The processes in which the bodies run."""
    task_ids: Sequence[str]


def nothing(scene: Scene) -> None:
    """The body ends by itself, or Celery ends it."""


def _child(number: int) -> Callable[[Scene], None]:
    def fault(scene: Scene) -> None:
        for pid in set(scene.pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    return fault


def _revoke(name: str) -> Callable[[Scene], None]:
    def fault(scene: Scene) -> None:
        scene.ground.app.control.revoke(
            list(scene.task_ids),
            terminate=True,
            signal=f"SIG{name}",
            destination=[scene.worker.hostname],
        )

    return fault


def _main(number: int) -> Callable[[Scene], None]:
    def fault(scene: Scene) -> None:
        scene.worker.process.signal(number)

    return fault


def lose_machine(scene: Scene) -> None:
    """Nothing more comes from it, not even the end of its connections."""
    assert scene.wire is not None
    scene.wire.swallow()
    scene.worker.process.kill()


def pause(scene: Scene) -> None:
    """The worker stands still for twice its ttl."""
    scene.worker.pause()
    time.sleep(2 * scene.ground.kind.ttl)
    scene.worker.resume()


FAULTS: dict[str, Callable[[Scene], None]] = {
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
