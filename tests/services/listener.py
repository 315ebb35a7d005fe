"""A loopback port that accepts connections on a thread of its own, for servers made by tests."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.services.ports import LOOPBACK

T = TypeVar("T")


class Listener:
    """Calls `accepted(connection)` for each connection, on its event loop; none of them blocks.

    What else has to be done on that loop's thread goes through `run()`.
    """

    def __init__(self, accepted: Callable[[socket.socket], object]) -> None:
        self.connections = 0
        """How many were accepted so far."""
        self._accepted = accepted
        self._socket = socket.create_server((LOOPBACK, 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="listener", daemon=True)
        self._thread.start()
        self._acceptor = self.run(self._start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it on the listener's thread, and wait for its end."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=10)

    def close(self, last: Callable[[], Coroutine[Any, Any, object]] | None = None) -> None:
        """Accept no more, do what is `last`, and end the thread. Further calls do nothing."""
        if self.loop.is_closed():
            return
        self.run(self._stop())
        if last is not None:
            self.run(last())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._accept())

    async def _accept(self) -> None:
        while True:
            connection, _ = await self.loop.sock_accept(self._socket)
            self.connections += 1
            self._accepted(connection)

    async def _stop(self) -> None:
        self._acceptor.cancel()
        await asyncio.gather(self._acceptor, return_exceptions=True)
        self._socket.close()
