"""A socket on which every wait ends at one deadline, however slowly the bytes drip in."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable

from ...model.clock import monotonic

__all__ = ["ConnectionLost", "DeadlineExceeded", "DeadlineSocket"]

_ROUNDED = 0.005
"""Seconds by which a wait of the system may end before its time."""


class DeadlineExceeded(Exception):
    """The deadline of the call has passed."""


class ConnectionLost(Exception):
    """The connection has ended under the call; a new one may do."""


class DeadlineSocket:
    """Sends and receives until `ends`, by the clock that the socket's own waits go by."""

    __slots__ = ("_shortest", "_sock", "_timeout", "close", "ends")

    def __init__(self, sock: socket.socket, ends: float, close: Callable[[], None]) -> None:
        self.ends = ends
        self.close = close
        """Ends the connection; in a forked child, for the child alone."""
        self._sock = sock
        self._timeout = self._shortest = -1.0

    @property
    def raw(self) -> socket.socket:
        """The socket itself, for who waits for several of them at once."""
        return self._sock

    def send(self, data: bytes) -> None:
        """Send all of it."""
        rest: bytes | memoryview = data
        while True:
            # settimeout is a system call: spared while the old one is right to 3 %, here and below
            if not self._shortest <= (left := self.ends - monotonic()) <= self._timeout:
                self._set_timeout(left)
            try:
                # sendall() of a TLS socket would wait anew for each piece
                sent = self._sock.send(rest)
            except OSError as error:
                if self._is_raised_by_a_handler(error):
                    raise
                raise _failure(error) from error
            if sent == len(rest):
                return
            rest = memoryview(rest)[sent:]

    def receive(self) -> bytes:
        """Return what comes next, at least one byte."""
        if not self._shortest <= (left := self.ends - monotonic()) <= self._timeout:
            self._set_timeout(left)
        try:
            data = self._sock.recv(65536)
        except OSError as error:
            if self._is_raised_by_a_handler(error):
                raise
            raise _failure(error) from error
        if not data:
            raise ConnectionLost("the server closed the connection")
        return data

    def arrived(self) -> bytes:
        """Return what has come by now, and wait for nothing; empty: nothing has."""
        self._timeout = self._shortest = -1.0  # the next wait sets its own
        self._sock.settimeout(0)
        try:
            data = self._sock.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        except OSError as error:
            raise _failure(error) from error
        if not data:
            raise ConnectionLost("the server closed the connection")
        return data

    def fileno(self) -> int:
        """Return what a selector knows it by."""
        return self._sock.fileno()

    def _is_raised_by_a_handler(self, error: OSError) -> bool:
        """A signal handler has raised it within the wait: `TimeoutError`, mostly, for an alarm.

        The socket's own comes when the deadline has passed, and not before.
        """
        is_early = monotonic() < self.ends - _ROUNDED
        return is_early and isinstance(error, TimeoutError) and error.errno is None

    def _set_timeout(self, left: float) -> None:
        if left <= 0:
            raise DeadlineExceeded
        self._timeout = left * 1.01
        self._shortest = 0.97 * self._timeout
        self._sock.settimeout(self._timeout)


def _failure(error: OSError) -> Exception:
    # the kernel's own ETIMEDOUT (keepalive found the peer gone) is a TimeoutError too
    if isinstance(error, TimeoutError) and error.errno != errno.ETIMEDOUT:
        return DeadlineExceeded()
    return ConnectionLost(error.strerror or str(error))
