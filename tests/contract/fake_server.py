"""A server that answers what a test wants: what real ones say seldom, or never."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from tests.services.listener import Listener
from tests.services.ports import LOOPBACK


class FakeServer:
    """Calls `talk(connection)` in a thread for each connection, and closes it afterwards."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._talk = talk
        self._open: list[socket.socket] = []
        self._listener = Listener(self._begin)
        self.port = self._listener.port
        self.url = f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._listener.connections

    def _begin(self, connection: socket.socket) -> None:
        connection.setblocking(True)
        self._open.append(connection)
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self._talk(connection)

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def always(answer: bytes) -> Callable[[socket.socket], None]:
    """Answer each request with these bytes."""

    def talk(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(answer)

    return talk
