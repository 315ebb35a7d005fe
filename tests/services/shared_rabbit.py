"""One RabbitMQ for the whole session, started when first needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.services.binaries import GET_RABBIT, find_rabbit, missing
from tests.services.rabbit_server import RabbitServer


@dataclass(frozen=True)
class VirtualHost:
    """A virtual host of the session's RabbitMQ."""

    server: RabbitServer
    name: str

    @property
    def url(self) -> str:
        """For Celery."""
        return self.server.url_for(self.name)


class SharedRabbit:
    """Lends one broker to one borrower at a time; more at once get brokers of their own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: list[RabbitServer] = []
        self._lent: list[RabbitServer] = []

    def running(self) -> RabbitServer:
        """The session's broker, started anew if it does not run. Skips or fails without one."""
        if not self._servers:
            self._add()
        server = self._servers[0]
        if server.alive():
            server.resume()
        else:
            _start_anew(server)
        return server

    def lend(self) -> RabbitServer:
        """A broker whose virtual host "/" is empty and the borrower's alone, to kill at will."""
        free = [server for server in self._servers if server not in self._lent]
        server = free[0] if free else self._add()
        if server.alive():
            server.resume()
            server.empty()
        else:
            _start_anew(server)
        self._lent.append(server)
        return server

    def give_back(self, server: RabbitServer) -> None:
        """Take a lent broker back, in whatever state it is."""
        self._lent.remove(server)

    def close(self) -> None:
        """End all brokers. Raises AssertionError if a borrower never gave one back."""
        for server in self._servers:
            server.kill()
        assert not self._lent, f"{len(self._lent)} lent and never given back"

    def _add(self) -> RabbitServer:
        binary = find_rabbit() or missing("RabbitMQ", GET_RABBIT)
        server = RabbitServer(binary, self._directory / f"rabbit-{len(self._servers) + 1}")
        self._servers.append(server)
        return server


def _start_anew(server: RabbitServer) -> None:
    # What one that was killed had on its disk, as its first start ended perhaps, is nobody's.
    server.forget()
    server.start()
