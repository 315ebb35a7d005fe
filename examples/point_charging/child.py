"""One child process with a log: it never outlives the demo, whatever ends the demo."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


class DemoError(Exception):
    """The demo cannot go on; the message is for the screen."""


def die_with_parent(parent: int) -> Callable[[], None]:
    """Return what a new child calls so that the kernel kills it when `parent` dies (Linux)."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None)  # opened here: a fork of a busy process must not load libraries

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was told
            os._exit(1)

    return tie


class Child:
    """A running process, in a session of its own: Ctrl-C reaches the demo, which ends it."""

    def __init__(
        self, argv: Sequence[str], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid()),
            )

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def says(self, words: str) -> bool:
        """Whether its log has `words` in it."""
        return words in self.log.read_text(errors="replace")

    def last_words(self) -> str:
        """Return the end of its log, for messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def ask_to_end(self) -> None:
        """Send SIGTERM; do not wait."""
        self._process.terminate()

    def end(self) -> None:
        """Kill what is left of it and of all that it has started."""
        # nobody is left, which macOS calls a lack of permission
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
