"""How often this process sends something, by the port that it is sent to: a request each."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["counted_sends"]


@contextmanager
def counted_sends() -> Iterator[Counter[int]]:
    """Count within a `with`. What is pipelined in one piece is one request, as it should be."""
    found: Counter[int] = Counter()

    def counted(send: Callable[..., Any]) -> Callable[..., Any]:
        def through(sock: socket.socket, *args: Any) -> Any:
            peer = sock.getpeername()
            if isinstance(peer, tuple):
                found[peer[1]] += 1
            return send(sock, *args)

        return through

    for name in ("send", "sendall"):
        setattr(socket.socket, name, counted(getattr(socket.socket, name)))
    try:
        yield found
    finally:
        for name in ("send", "sendall"):
            delattr(socket.socket, name)  # the one that was inherited is seen again
