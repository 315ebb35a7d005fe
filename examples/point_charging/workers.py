"""The three servers A, B and C: real `celery worker` processes with two children each."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType

from . import stop
from .child import Child, DemoError

SERVERS = "ABC"
CONCURRENCY = 2

_ROOT = Path(__file__).resolve().parents[2]  # where `examples` can be imported from
_STARTING = 60.0
"""Seconds that they may take to be ready; 2 to 5 are usual."""
_STOPPING = 10.0
"""Seconds that a worker may take for the tasks it still runs; those here last milliseconds."""


class Workers:
    """All three, started together. Use them in a `with`, which ends them at once."""

    def __init__(self, directory: Path, url: str, database: Path) -> None:
        self._directory = directory
        self._children: dict[str, Child] = {}
        self._env = {
            **os.environ,
            "CELERY_BROKER_URL": url,
            "CELERY_RESULT_BACKEND": url,
            "POINT_CHARGING_DATABASE": str(database),
            # a killed worker leaves its temporary files: there they go with all the rest
            "TMPDIR": str(directory),
        }

    def __enter__(self) -> Workers:
        try:
            for letter in SERVERS:
                log = self._directory / f"{letter}.log"
                self._children[letter] = Child(_command(letter), log, cwd=_ROOT, env=self._env)
            self._wait_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def check(self) -> None:
        """Raise `DemoError` if one of them has died."""
        for letter, child in self._children.items():
            if not child.alive():
                raise DemoError(f"server {letter} died; it said:\n{child.last_words()}")

    def finish(self) -> None:
        """Let them finish what they run, and end them: after this nothing can run a top-up."""
        for child in self._children.values():
            child.ask_to_end()
        deadline = time.monotonic() + _STOPPING
        while time.monotonic() < deadline and any(c.alive() for c in self._children.values()):
            stop.pause(0.02)
        self._end()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _STARTING
        waiting = dict(self._children)
        while waiting:
            self.check()
            if time.monotonic() > deadline:
                letter, child = waiting.popitem()
                raise DemoError(
                    f"server {letter} is not ready after {_STARTING:.0f} s; it says:\n"
                    f"{child.last_words()}"
                )
            stop.pause(0.05)
            waiting = {k: child for k, child in waiting.items() if not child.says(" ready.")}

    def _end(self) -> None:
        for child in self._children.values():
            child.end()


def _command(letter: str) -> list[str]:
    command = [sys.executable, "-m", "celery", "-A", f"{__package__}.app", "worker"]
    command += ["--hostname", f"{letter}@point-charging", "--concurrency", str(CONCURRENCY)]
    # INFO: with less a worker does not say that it is ready
    return [*command, "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
