"""A faulty wire: a TCP proxy between a client and a server which loses what it is told to lose."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import Literal

from tests.services.listener import Listener
from tests.services.ports import LOOPBACK

Spoiling = Literal["reset", "lost", "slow", "cut"]

_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing resets the connection instead of ending it politely."""


class Proxy:
    """Listens on a loopback port and passes bytes to `host:port`, until told otherwise.

    A mode counts from the next bytes on, for living and new connections alike; `forward()` ends
    it. What was swallowed stays lost, so a client has to connect again: `cut()` makes it.
    """

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        self.target = (host, port)
        self.host = LOOPBACK
        self.delay = 0.0
        """Seconds that every piece waits, in each direction."""
        self._drop_requests = False
        self._drop_replies = False
        self._refusing = False
        self.kept = 0
        """How many pieces `hold()` keeps now."""
        self._holding = False
        self._let_on = asyncio.Event()
        self._spoils: dict[bytes, tuple[Spoiling, float]] = {}
        self._lost = threading.Event()
        self._wires: dict[asyncio.Task[None], tuple[socket.socket, socket.socket]] = {}
        # Its thread owns all sockets: a socket that another thread reads cannot be reset.
        self._listener = Listener(self._begin)
        self.port = self._listener.port

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._listener.connections

    # -- what it does to the bytes --------------------------------------------------------------

    def forward(self) -> None:
        """Pass everything on at once again."""
        self._drop_requests = self._drop_replies = self._refusing = self._holding = False
        self._spoils.clear()
        self.delay = 0.0

    def hold(self) -> None:
        """Keep every piece, in each direction. `forward()` passes new ones on, but not the kept.

        What a connection sends after a kept piece stays behind it. `let_go()` passes all on.
        """
        self._holding = True

    def let_go(self) -> None:
        """Pass on what `hold()` has kept until now."""
        self._listener.run(self._let_go())

    def swallow(self) -> None:
        """Accept connections and bytes, pass nothing on in either direction: a black hole."""
        self._drop_requests = self._drop_replies = True

    def drop_replies(self) -> None:
        """Pass requests on, lose every reply: the server acts and the client never hears of it."""
        self._drop_requests, self._drop_replies = False, True

    def lose_reply(self, to: bytes) -> None:
        """Lose the reply to the next request that contains `to`, and reset that connection then.

        The server has done its work when the client sees the broken connection. `wait_lost()`
        waits for it; further requests pass.
        """
        self.spoil_reply(to, "reset")

    def spoil_reply(self, to: bytes, how: Spoiling, *, delay: float = 0.0) -> None:
        """Do something to the next request that contains `to`, or to its reply.

        `reset`: the server does its work, and the connection is reset instead of the reply.
        `lost`: the same, but the connection stays, and nothing more comes over it.
        `slow`: the reply comes `delay` seconds late. `cut`: the connection is ended politely
        before the server sees the request. `wait_lost()` waits until it has happened, to all
        that were named when it was called for several.
        """
        self._lost.clear()
        self._spoils[to] = (how, delay)

    def wait_lost(self, timeout: float = 10.0) -> None:
        """Wait until what `lose_reply` or `spoil_reply` named is done. Raises AssertionError."""
        assert self._lost.wait(timeout), f"no request with {list(self._spoils)} in {timeout:g} s"

    def refuse(self) -> None:
        """Reset living connections and every new one: a server that is gone."""
        self._refusing = True
        self.cut()

    def cut(self) -> None:
        """Reset (RST) the living connections; new ones are welcome."""
        self._listener.run(self._cut())

    def close(self) -> None:
        """Close the port and all connections. Further calls do nothing."""
        self._listener.close(self._cut)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- inside: on the proxy's own thread --------------------------------------------------------

    def _begin(self, client: socket.socket) -> None:
        server = socket.socket()
        task = asyncio.create_task(self._wire(client, server))
        self._wires[task] = (client, server)

    async def _wire(self, client: socket.socket, server: socket.socket) -> None:
        doomed: list[tuple[Spoiling, float]] = []  # what becomes of this connection's next reply
        task = asyncio.current_task()
        assert task is not None
        clean = False
        try:
            for end in (client, server):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not self._refusing:
                await self._listener.loop.sock_connect(server, self.target)
                directions = [
                    asyncio.create_task(self._requests(client, server, doomed)),
                    asyncio.create_task(self._replies(client, server, doomed)),
                ]
                try:
                    done, _ = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
                    clean = all(one.exception() is None and one.result() for one in done)
                finally:
                    for direction in directions:
                        direction.cancel()
                    await asyncio.gather(*directions, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            clean = False
        finally:
            self._wires.pop(task, None)
            for end in (client, server):
                _close(end, reset=not clean)

    async def _requests(
        self, client: socket.socket, server: socket.socket, doomed: list[tuple[Spoiling, float]]
    ) -> bool:
        loop = self._listener.loop
        while piece := await loop.sock_recv(client, 65536):
            await self._wait()
            if self._drop_requests:
                continue
            for mark in [mark for mark in self._spoils if mark in piece]:
                how, delay = self._spoils.pop(mark)
                if how == "cut":
                    self._spoilt()
                    return True
                doomed.append((how, delay))
            await loop.sock_sendall(server, piece)
        return True

    async def _replies(
        self, client: socket.socket, server: socket.socket, doomed: list[tuple[Spoiling, float]]
    ) -> bool:
        loop = self._listener.loop
        while piece := await loop.sock_recv(server, 65536):
            await self._wait()
            if doomed:
                how, delay = doomed[0]
                self._spoilt()
                if how == "reset":
                    return False
                if how == "lost":
                    continue
                doomed.clear()
                await asyncio.sleep(delay)
            if not self._drop_replies:
                await loop.sock_sendall(client, piece)
        return True

    def _spoilt(self) -> None:
        if not self._spoils:
            self._lost.set()

    async def _wait(self) -> None:
        if self._holding:
            self.kept += 1
            await self._let_on.wait()
        if self.delay:
            await asyncio.sleep(self.delay)

    async def _let_go(self) -> None:
        self._let_on.set()
        self._let_on, self.kept = asyncio.Event(), 0

    async def _cut(self) -> None:
        wires = list(self._wires)
        for wire in wires:
            wire.cancel()
        await asyncio.gather(*wires, return_exceptions=True)


def _close(end: socket.socket, *, reset: bool) -> None:
    if reset:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.close()
