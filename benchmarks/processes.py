"""Child processes of a run: started with a log, ended with all that they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["BenchError", "Child", "stop_by_signals"]


class BenchError(Exception):
    """The run cannot go on; the message says why, and what to do."""


class Child:
    """A process at the head of its own group. Use it in a `with`."""

    def __init__(
        self, argv: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                list(argv),
                env=None if env is None else dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The leader's process id."""
        return self._popen.pid

    def alive(self) -> bool:
        """Whether the leader runs."""
        return self._popen.poll() is None

    def last_words(self) -> str:
        """Return the end of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])

    def end(self) -> None:
        """End it and whatever it started; more than once is once."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(5.0)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


def stop_by_signals() -> None:
    """Let SIGTERM and SIGHUP end the run as Ctrl-C does, so that every child is ended too."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
