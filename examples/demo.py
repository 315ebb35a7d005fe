"""What the other examples stand on: a server of their own, workers, and an end for all of them.

A story is a function that is given a `Demo` and returns whether all went as the example says;
`sys.exit(play(story))` plays it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from examples.point_charging import stop
from examples.point_charging.child import Child, DemoError
from examples.point_charging.server import Server

__all__ = ["Demo", "play"]

ROOT = Path(__file__).resolve().parents[1]
"""Where `examples` can be imported from."""

_PATIENCE = 60.0
"""Seconds after which what was waited for is given up; all of it takes a few."""


class Demo:
    """A running server, a folder that goes away, and the processes that were started here."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.url = server.url
        self.folder = folder
        self._server = server
        self._children: dict[str, Child] = {}

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        program: str = "celery",
        cwd: Path = ROOT,
        **env: str,
    ) -> Child:
        """Start `celery *argv` as a process with the server as its broker and result backend."""
        child = Child(
            [sys.executable, "-m", program, *argv],
            self.folder / f"{name}.log",
            cwd=cwd,
            env={**self.environment, **env},
        )
        self._children[name] = child
        return child

    def workers(
        self, app: str, *names: str, concurrency: int = 1, cwd: Path = ROOT, **env: str
    ) -> None:
        """Start a worker for each name, and wait until all of them are ready."""
        for name in names:
            argv = ["-A", app, "worker", "--hostname", f"{name}@example", "--loglevel", "INFO"]
            argv += ["--concurrency", str(concurrency), "--without-gossip", "--without-mingle"]
            self.start(name, argv, cwd=cwd, **env)
        for name in names:
            self.wait_for(f"worker {name}", partial(self._children[name].says, " ready."))

    def wait_for(self, what: str, probe: Callable[[], Any]) -> Any:
        """Call `probe` until it answers something true, and return that.

        Raises `DemoError` naming `what` when it takes too long or something has died, `Stopped`
        when told to stop.
        """
        deadline = time.monotonic() + _PATIENCE
        while not (answer := probe()):
            self._check()
            if time.monotonic() > deadline:
                raise DemoError(f"waited {_PATIENCE:.0f} s in vain for {what}{self._last_words()}")
            stop.pause(0.05)
        return answer

    def results(self, *results: Any) -> list[Any]:
        """Wait for tasks, and return what each of them came to: its result or its exception."""
        for result in results:
            self.wait_for(f"the end of task {result.id}", result.ready)
        return [result.result for result in results]

    def log(self, name: str) -> list[str]:
        """Return the lines that a process has written."""
        return self._children[name].log.read_text(errors="replace").splitlines()

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs to know."""
        return {
            **{name: v for name, v in os.environ.items() if not name.startswith("CELERY_")},
            "CELERY_BROKER_URL": self.url,
            "CELERY_RESULT_BACKEND": self.url,
            # a killed worker leaves its temporary files: there they go with all the rest
            "TMPDIR": str(self.folder),
            # also where the package is not installed, and in another working directory
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }

    def end(self) -> None:
        """End every process that was started here."""
        for child in self._children.values():
            child.end()

    def _check(self) -> None:
        self._server.check()
        for name, child in self._children.items():
            if not child.alive():
                raise DemoError(f"{name} died; it said:\n{child.last_words()}")

    def _last_words(self) -> str:
        said = [f"{name}:\n{child.last_words()}" for name, child in self._children.items()]
        return "".join(f"\n\n{words}" for words in said)


def play(story: Callable[[Demo], bool]) -> int:
    """Play a story; return the exit status: 0, 1 when it went wrong, 128 + n when told to stop."""
    stop.listen()

    def on(server: Server, folder: Path) -> int:
        demo = Demo(server, folder)
        try:
            return 0 if story(demo) else 1
        finally:
            demo.end()

    def told(act: Callable[[], int]) -> int:
        try:
            return act()
        except stop.Stopped as stopped:
            print("\nstopped; every process of the example has ended")
            return stopped.status
        except DemoError as error:
            print(f"\n{error}", file=sys.stderr)
            return 1

    def with_server() -> int:
        # ignore: a process that was killed a moment ago may still be closing a file
        temporary = TemporaryDirectory(prefix="example-", ignore_cleanup_errors=True)
        with temporary as name, Server(Path(name)) as server:
            # told here as well: an exception keeps the story's results alive, and a result that
            # goes after its server says goodbye to it for twenty seconds
            return told(lambda: on(server, Path(name)))

    return told(with_server)
