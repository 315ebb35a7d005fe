"""One short talk with one server: connect, TLS, some commands, their replies; it never blocks."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import ssl
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ...link.deadline_socket import ConnectionLost
from .resp import ErrorReply, Reader, Reply

__all__ = ["Question", "Replies", "Talk"]

T = TypeVar("T")

Replies = list[Reply | ErrorReply]
"""One for each command."""


@dataclass(frozen=True)
class Question:
    """What a server is asked."""

    host: str
    port: int
    commands: Callable[[], Sequence[bytes]] = field(repr=False)
    """Called when there is a connection: it may have to fetch a password."""
    tls: Callable[[], ssl.SSLContext] | None = field(default=None, repr=False)


class Talk:
    """A talk with one address of a server."""

    def __init__(self, number: int, question: Question, sock: socket.socket, address: Any) -> None:
        self.number = number
        """Of the question."""
        self.sock = sock
        self.steps = self._talk(question, address)
        """Yields the event of `sock` that it waits for, and returns the `Replies`."""

    def close(self) -> None:
        """End it, wherever it is."""
        self.steps.close()
        self.sock.close()

    def _talk(self, question: Question, address: Any) -> Generator[int, None, Replies]:
        self.sock.setblocking(False)
        failed = self.sock.connect_ex(address)
        if failed in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            yield selectors.EVENT_WRITE
            failed = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
        if question.tls is not None:
            self.sock = secure = question.tls().wrap_socket(
                self.sock, do_handshake_on_connect=False, server_hostname=question.host
            )
            yield from _done(secure.do_handshake)
        commands = question.commands()
        packed = b"".join(commands)
        while packed:
            sent = yield from _done(partial(self.sock.send, packed), selectors.EVENT_WRITE)
            packed = packed[sent:]
        said = b""
        while True:
            replies = _replies(said, len(commands))
            if replies is not None:
                return replies
            more = yield from _done(partial(self.sock.recv, 65536))
            if not more:
                raise ConnectionLost("the server closed the connection")
            said += more


def _done(act: Callable[[], T], event: int = selectors.EVENT_READ) -> Generator[int, None, T]:
    """Do it as soon as the socket lets it be done."""
    while True:
        try:
            return act()
        except BlockingIOError:
            yield event
        except ssl.SSLWantReadError:
            yield selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            yield selectors.EVENT_WRITE


class _Unfinished(Exception):
    """Not all replies are there yet."""


class _Said:
    """What a server has said so far."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def receive(self) -> bytes:
        said, self._said = self._said, b""
        if not said:
            raise _Unfinished
        return said


def _replies(said: bytes, count: int) -> Replies | None:
    """Read so many replies; `None`: there is more to come."""
    reader = Reader(_Said(said))
    replies: Replies = []
    try:
        while len(replies) < count:
            try:
                replies.append(reader.read())
            except ErrorReply as refusal:
                replies.append(refusal)
    except _Unfinished:
        return None
    return replies
