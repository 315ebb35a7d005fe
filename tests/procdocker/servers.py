"""Programs that are servers: a Redis of the container's own, or the session's RabbitMQ."""

from __future__ import annotations

import os
from pathlib import Path

from tests.procdocker.commands import execute
from tests.services.rabbit_server import RabbitServer
from tests.services.redis_server import RedisServer
from tests.services.shared_rabbit import SharedRabbit


class _ServerProgram:
    """A server of tests.services; none before the start and after the end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server: RedisServer | RabbitServer | None = None

    def start(self) -> None:
        raise NotImplementedError

    def stop(self, timeout: float) -> None:
        if self._server:
            self._server.stop()

    def kill(self) -> None:
        if self._server:
            self._server.kill()

    def signal(self, number: int) -> None:
        if self._server:
            self._server.process.signal(number)

    def pause(self) -> None:
        if self._server:
            self._server.pause()

    def resume(self) -> None:
        if self._server:
            self._server.resume()

    def discard(self) -> None:
        self.kill()

    def alive(self) -> bool:
        return self._server is not None and self._server.alive()

    def returncode(self) -> int | None:
        return self._server.process.returncode if self._server else None

    def port(self) -> int | None:
        return (self._server.port or None) if self._server else None

    def logs(self) -> str:
        return self._server.logs() if self._server else ""

    def execute(self, cmd: str | list[str]) -> tuple[int, bytes]:
        return execute(cmd, self._directory, dict(os.environ))


class RedisProgram(_ServerProgram):
    """A Redis of the container's own: it starts in 30 ms."""

    def __init__(self, binary: str, directory: Path, options: list[str]) -> None:
        super().__init__(directory)
        self._server = RedisServer(binary, directory, args=options)

    def start(self) -> None:
        assert self._server is not None
        self._server.start()


class RabbitProgram(_ServerProgram):
    """A RabbitMQ lent by the session, since it takes 5 s to start; empty at the first start."""

    def __init__(self, shared: SharedRabbit, directory: Path) -> None:
        super().__init__(directory)
        self._shared = shared

    def start(self) -> None:
        if self._server is None:
            self._server = self._shared.lend()
        elif not self._server.alive():
            self._server.start()

    def discard(self) -> None:
        if isinstance(self._server, RabbitServer):
            self._shared.give_back(self._server)
            self._server = None
