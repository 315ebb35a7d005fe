"""A connection of the system within a deadline: look up a name, connect to an address of it."""

from __future__ import annotations

import socket
import threading
from typing import Any

from ...model.clock import monotonic
from .deadline_socket import DeadlineExceeded

__all__ = ["Unreachable", "addresses_of", "dialled"]


class Unreachable(Exception):
    """No connection came about; the cause is the system's error."""


def dialled(sock: socket.socket, address: Any, seconds: float) -> socket.socket:
    """Connect a socket to an address within so many seconds."""
    try:
        if seconds <= 0:
            raise DeadlineExceeded
        if sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(sock)
        sock.settimeout(seconds)
        sock.connect(address)
        return sock
    except BaseException:
        sock.close()
        raise


def _keep_alive(sock: socket.socket) -> None:
    """Let the kernel find out within 45 s that the peer of an idle connection has gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)


def addresses_of(host: str, port: int, ends: float) -> list[Any]:
    """Look the name up; in a thread, since the system's resolver cannot be told how long."""
    found: list[Any] = []

    def look(flags: int = 0) -> None:
        try:
            found.append(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, flags))
        except (OSError, UnicodeError) as error:
            found.append(error)

    look(socket.AI_NUMERICHOST)
    if not isinstance(found[0], list):
        found.clear()
        thread = threading.Thread(target=look, daemon=True, name="celery-lock resolver")
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down
            look()
        else:
            thread.join(max(0.0, ends - monotonic()))
    if not found:
        raise DeadlineExceeded
    if isinstance(found[0], list):
        return found[0]
    raise Unreachable from found[0]
