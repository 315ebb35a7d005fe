"""A real Celery worker as a process of the test: any pool, signals, logs, children."""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import psutil

from tests.services.process import Process
from tests.services.service import Service
from tests.services.waiting import wait_for

Pool = Literal["prefork", "threads", "solo", "gevent"]

CHECKOUT = Path(__file__).parents[2]

_numbers = itertools.count(1)


class Worker(Service):
    """`celery -A app worker` in a process group of its own.

    Args:
        app: what `celery -A` takes, e.g. `"tests.integration.apps.points"` or `"points:app"`.
        directory: where it runs (first on the import path) and where its log is.
        broker, backend: URLs; given as CELERY_BROKER_URL and CELERY_RESULT_BACKEND, which Celery
            reads unless the app names its own.
        pool, concurrency: as Celery's; solo runs one task at a time whatever is said.
        queues: what it consumes from; default: the app's own.
        args: further options of `celery worker`.
        env: further variables for the process.
        loglevel: INFO or DEBUG; below INFO Celery does not say that it is ready.
        python: the interpreter, e.g. of another virtual environment.
        quick: no mingle and no gossip: two seconds faster, and no test needs them.
    """

    def __init__(
        self,
        app: str,
        directory: Path,
        *,
        broker: str | None = None,
        backend: str | None = None,
        pool: Pool = "prefork",
        concurrency: int = 2,
        queues: Sequence[str] = (),
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        loglevel: Literal["INFO", "DEBUG"] = "INFO",
        python: str = sys.executable,
        quick: bool = True,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = f"w{next(_numbers)}"
        self.hostname = f"{self.name}@test-{os.getpid()}"
        """The node name, as `inspect(destination=[...])` and events spell it."""
        argv = [python, "-m", "celery", "-A", app, "worker", f"--loglevel={loglevel}"]
        argv += ["--pool", pool, "--concurrency", str(concurrency), "--hostname", self.hostname]
        if quick:
            argv += ["--without-mingle", "--without-gossip"]
        if queues:
            argv += ["--queues", ",".join(queues)]
        env = _environment(_import_path(directory, python), broker, backend, env or {})
        log = directory / f"{self.name}.log"
        super().__init__(Process([*argv, *args], cwd=directory, log=log, env=env))

    def start(self, *, ready: bool = True, timeout: float = 30.0) -> Worker:
        """Start it; with `ready`, wait until it consumes. It may be started again after its end."""
        self.process.start()
        if ready:
            self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait for this start's `ready.`; Celery says it when it consumes and its pool is up."""
        self.process.wait_for_log(re.escape(self.hostname) + r" ready\.", timeout, since_start=True)

    def stop(self, timeout: float = 15.0) -> int | None:
        """Warm shutdown (SIGTERM), after `timeout` seconds SIGKILL for all; return the status.

        It takes one to three seconds; once in a while billiard waits 30 s for a prefork child that
        thinks its last message was not read (`_ensure_messages_consumed`), and is killed here.
        """
        return super().stop(timeout)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the main process alone. Children outlive its kill -9 for a while, as in
        life; `stop()` ends them."""
        self.process.signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    @property
    def pid(self) -> int:
        """The main process."""
        return self.process.pid

    def children(self) -> list[int]:
        """The pool's processes (prefork); zombies and Python's resource tracker do not count."""
        return [pid for pid in self.process.members() if pid != self.pid and _is_pool_child(pid)]

    def wait_for_children(self, count: int, timeout: float = 15.0) -> list[int]:
        """Wait until the pool has exactly `count` processes, and return them."""
        seen: list[int] = []

        def are_there() -> bool:
            seen[:] = self.children()
            return len(seen) == count

        # what was seen is returned: a second look would see a pool that has gone on by then
        wait_for(are_there, f"{count} pool processes", timeout=timeout)
        return seen

    def wait_for_log(self, pattern: str, timeout: float = 15.0) -> re.Match[str]:
        """Wait until the log matches the regular expression (`^` and `$` match at lines)."""
        return self.process.wait_for_log(pattern, timeout)

    def __exit__(self, *error: object) -> None:
        self.stop()


def _import_path(directory: Path, python: str) -> str:
    inherited = filter(None, [os.environ.get("PYTHONPATH")])
    # Where nothing is installed, this checkout is what is tested. Another interpreter has its own.
    checkout = [str(CHECKOUT)] if python == sys.executable else []
    return os.pathsep.join([str(directory), *inherited, *checkout])


def _environment(
    import_path: str, broker: str | None, backend: str | None, more: Mapping[str, str]
) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("CELERY_")}
    env |= {"PYTHONPATH": import_path, "PYTHONUNBUFFERED": "1"}
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONFAULTHANDLER": "1"}
    if broker is not None:
        env["CELERY_BROKER_URL"] = broker
    if backend is not None:
        env["CELERY_RESULT_BACKEND"] = backend
    return env | dict(more)


def _is_pool_child(pid: int) -> bool:
    try:
        return "resource_tracker" not in " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return False
