"""A Redis of the run's own, on a free loopback port, with nothing on disk."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from .machine import on_cpus, servers_cpu
from .processes import BenchError, Child

__all__ = ["Server", "two_pings"]

_LOOPBACK = "127.0.0.1"
_PING = b"*1\r\n$4\r\nPING\r\n"
_TRIES = 3
_STARTING = 15.0


class Server:
    """One server. Use it in a `with`."""

    def __init__(self, directory: Path, name: str = "redis") -> None:
        self._program = _program()
        self._log = directory / f"{name}.log"
        self._directory = directory
        self.port = 0

    @property
    def url(self) -> str:
        """Database 0."""
        return f"redis://{_LOOPBACK}:{self.port}/0"

    def client(self, **options: Any) -> redis.Redis:
        """Return a client of redis-py."""
        return redis.Redis(host=_LOOPBACK, port=self.port, **options)

    def socket(self) -> socket.socket:
        """Return a plain connection."""
        return _connected(self.port)

    def version(self) -> str:
        """Return the server's name and version."""
        with self.client() as client:
            facts: Any = client.info("server")
        name = str(facts.get("server_name") or "redis").capitalize()
        return f"{name} {facts.get('valkey_version') or facts['redis_version']}"

    def __enter__(self) -> Server:
        for _ in range(_TRIES):  # somebody else can take a port that was free a moment ago
            self.port = _free_port()
            with on_cpus(servers_cpu()):  # a child has its parent's
                self._child = Child(self._command(), self._log)
            ready = False
            try:
                ready = self._ready()
            finally:
                if not ready:
                    self._child.end()
            if ready:
                return self
        raise BenchError(f"{self._program} does not start:\n{self._child.last_words()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.end()

    def _command(self) -> list[str]:
        return [
            *(self._program, "--port", str(self.port), "--bind", _LOOPBACK),
            *("--save", "", "--appendonly", "no", "--dir", str(self._directory)),
            *("--daemonize", "no", "--slowlog-max-len", "2000"),
        ]

    def _ready(self) -> bool:
        until = time.monotonic() + _STARTING
        with self.client() as client:
            while self._child.alive() and time.monotonic() < until:
                try:
                    # its own words first: on a port taken by another, the other would answer
                    if "Ready to accept" in self._child.last_words() and client.ping():
                        return True
                except redis.ConnectionError:
                    pass
                time.sleep(0.02)
        return False


def two_pings(*ports: int) -> Callable[[], None]:
    """Return what makes two round trips over connections of its own, with nothing around them.

    With several ports, each trip is to all of them at once.
    """
    socks = [_connected(port) for port in ports]

    def call() -> None:
        for _ in range(2):
            for sock in socks:
                sock.sendall(_PING)
            for sock in socks:
                sock.recv(64)

    return call


def _connected(port: int) -> socket.socket:
    sock = socket.create_connection((_LOOPBACK, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _program() -> str:
    named = os.environ.get("REDIS_SERVER")
    found = shutil.which(named) if named else None
    found = found or shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None or (named and not shutil.which(named)):
        raise BenchError(
            "no Redis or Valkey server found: install redis-server, or point $REDIS_SERVER at"
            " its program"
        )
    return found


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
