"""Watches keys and processes: when a key passed on, when a process died and was reaped."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from celery_lock.errors import StoreError
from celery_lock.model import LockStore
from tests.faults.background import Background
from tests.faults.bodies import dead, tell

__all__ = ["Watch", "noticed"]

EVERY = 0.01
"""Seconds between two looks."""


class Watch(Background):
    """A thread that looks, until it is told to stop."""

    def __init__(self, book: Path, store: LockStore) -> None:
        super().__init__("watch")
        self._book = book
        self._store = store
        self._looks: list[Callable[[float], bool]] = []
        self.passed_on: dict[str, float] = {}
        """For each holder, when its key was seen without it."""
        self.died: dict[int, float] = {}
        self.reaped: dict[int, float] = {}

    def key(self, key: str, holder: str) -> None:
        """Look when somebody else, or nobody, has the key."""

        def look(now: float) -> bool:
            held = self._store.peek(key)
            if held is not None and held.live and held.holder == holder:
                return False
            self.passed_on[holder] = now
            return True

        self._looks.append(look)

    def process(self, pid: int) -> None:
        """Look when a process dies, and when its parent has reaped it."""

        def look(now: float) -> bool:
            if pid not in self.died and dead(pid):
                self.died[pid] = time.monotonic()
                tell(self._book, "died", pid=pid)
            if not Path(f"/proc/{pid}").exists():
                self.reaped[pid] = now
                return True
            return False

        self._looks.append(look)

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            for look in list(self._looks):
                with contextlib.suppress(StoreError):
                    if look(time.monotonic()):
                        self._looks.remove(look)


_EXITED = re.compile(r"^\[([^:]+:\d\d:[\d,]+): \w+/MainProcess\] .* pid:(\d+) exited with", re.M)


def noticed(log: str) -> dict[int, float]:
    """When Celery said of its children that they are dead, by the clock of the histories.

    It may be told late: it looks every few seconds when nothing wakes it, and a death that has
    been seen by the system is told with the next look.
    """
    ahead = time.time() - time.monotonic()
    return {
        int(pid): datetime.strptime(when, "%Y-%m-%d %H:%M:%S,%f").timestamp() - ahead
        for when, pid in _EXITED.findall(log)
    }
