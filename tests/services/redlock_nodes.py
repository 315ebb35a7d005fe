"""Several Redis servers that know nothing of each other: the nodes of one Redlock."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.services.redis_server import RedisServer
from tests.services.waiting import wait_for

GROWN_UP = 3
"""Whole seconds after which a node has a vote, if `longest_ttl` is below one."""


class RedlockNodes:
    """`count` servers, each a process of its own: `nodes[2].kill()`, `nodes[2].start()`."""

    def __init__(self, binary: str, directory: Path, count: int = 5, **options: Any) -> None:
        self.nodes = [RedisServer(binary, directory / f"node-{n}", **options) for n in range(count)]
        self._stack = ExitStack()

    def __enter__(self) -> RedlockNodes:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """All nodes, database 0."""
        return self.url_for()

    def url_for(self, ports: Sequence[int] = (), *, db: int = 0) -> str:
        """Other ports (those of proxies), or another database."""
        each = ports or [node.port for node in self.nodes]
        return f"redlock://{','.join(f'{self.nodes[0].host}:{port}' for port in each)}/{db}"

    def wait_grown_up(self, seconds: int = GROWN_UP) -> None:
        """Wait until all nodes have run for so long that they have a vote."""
        wait_for(lambda: min(map(uptime, self.nodes)) >= seconds, "nodes that may vote")

    def empty(self) -> None:
        """Take everything out of every node."""
        for node in self.nodes:
            with socket.create_connection((node.host, node.port), timeout=5) as connection:
                connection.sendall(b"FLUSHALL\r\n")
                connection.recv(64)


def uptime(node: RedisServer) -> int:
    """For how many whole seconds a server has run; 0: nobody knows."""
    with node.client() as client:
        found: Any = client.info("server")
    return int(found["uptime_in_seconds"])
