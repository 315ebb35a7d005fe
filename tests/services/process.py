"""One child process with its log: started, signalled, frozen, ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from tests.services.freezing import freeze
from tests.services.waiting import WaitedTooLong, wait_for

SETPRIV = shutil.which("setpriv")
"""Linux: lets the kernel kill the child when the thread that started it dies, pytest's own death
included. Elsewhere a killed pytest leaves its servers behind."""


class Process:
    """A child process at the head of its own group, writing to one log file.

    The log is appended to, so it tells the whole story over restarts. The kernel ties the child to
    the *thread* that called `start()`: start servers from the test's own thread.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.argv = list(argv)
        self.cwd = cwd
        self.log = log
        self.env = dict(os.environ if env is None else env)
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The leader's process id, kept after its death. Raises RuntimeError before a start."""
        if self._popen is None:
            raise RuntimeError(f"{self.argv[0]} was never started")
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The leader's exit status: None while it runs, negative for a signal."""
        return None if self._popen is None else self._popen.poll()

    def alive(self) -> bool:
        """Whether the leader runs (a frozen one does)."""
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Start the process. Raises RuntimeError if it runs already."""
        if self.alive():
            raise RuntimeError(f"{self.argv[0]} runs already as {self.pid}")
        tied = [SETPRIV, "--pdeathsig", "KILL", "--"] if SETPRIV else []
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._popen = subprocess.Popen(
                [*tied, *self.argv],
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        """Send a signal to the leader alone; nothing happens if it is dead."""
        if self.alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9 the leader, then what is left of its group, as a lost machine would."""
        self.signal(signal.SIGKILL)
        self._end_group()

    def stop(self, timeout: float = 10.0) -> int | None:
        """Ask the leader to end (SIGTERM), after `timeout` seconds make it; return its status.

        Whatever is left of its group is killed then.
        """
        if self.alive():
            self.resume()
            self.signal(signal.SIGTERM)
            with contextlib.suppress(WaitedTooLong):
                self.wait(timeout)
        self.kill()
        return self.returncode

    def wait(self, timeout: float = 15.0) -> int:
        """Wait for the leader's own end and return its status. Raises WaitedTooLong."""
        wait_for(lambda: not self.alive(), f"the end of {self.argv[0]}", timeout=timeout)
        status = self.returncode
        assert status is not None
        return status

    def pause(self) -> None:
        """Freeze the leader and all of its group (SIGSTOP), as a stalled machine would."""
        freeze(self.members())

    def resume(self) -> None:
        """Let a frozen group go on (SIGCONT)."""
        self._signal_all(self.members(), signal.SIGCONT)

    def members(self) -> list[int]:
        """The living processes of the group, the leader first if it lives. Zombies do not count."""
        if self._popen is None:
            return []
        living = [pid for pid in psutil.pids() if pid and _group(pid) == self.pid]
        living = [pid for pid in living if not _zombie(pid)]
        return sorted(living, key=lambda pid: (pid != self.pid, pid))

    def logs(self, *, since_start: bool = False) -> str:
        """Everything it has written, or only what it wrote since its last start."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._log_start if since_start else 0)
            return log.read().decode(errors="replace")

    def wait_for_log(
        self, pattern: str, timeout: float = 15.0, *, since_start: bool = False
    ) -> re.Match[str]:
        """Wait until the log matches the regular expression; return the first match.

        Raises:
            WaitedTooLong: with the log's end. At once if the process is dead and has not said it.
        """
        expression = re.compile(pattern, re.MULTILINE)

        def look() -> re.Match[str] | None:
            alive = self.alive()  # before reading: the last words of the dead count too
            found = expression.search(self.logs(since_start=since_start))
            if found is None and not alive:
                raise WaitedTooLong(
                    f"{self.argv[0]} died without saying {pattern!r}\n{self.tail()}"
                )
            return found

        found = wait_for(look, f"the log line {pattern!r}", timeout=timeout, explain=self.tail)
        assert found is not None
        return found

    def tail(self, lines: int = 60) -> str:
        """The last lines of the log, for messages."""
        return "\n".join(self.logs().splitlines()[-lines:])

    def _end_group(self) -> None:
        if self._popen is None:
            return
        self._signal_all(self.members(), signal.SIGKILL)
        self._popen.wait()
        wait_for(lambda: not self._kill_left(), f"the end of the group of {self.argv[0]}")

    def _kill_left(self) -> list[int]:
        # A member may have forked between the look and the signal: look again until nobody is left.
        left = self.members()
        self._signal_all(left, signal.SIGKILL)
        return left

    @staticmethod
    def _signal_all(pids: Iterable[int], number: int) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
