"""One connection to a node, on which a slow node may owe answers while others are asked more.

Nothing here waits: what cannot be sent or read at once is left for the next call.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from ...model.clock import monotonic
from ..link.deadline_socket import ConnectionLost, DeadlineSocket
from ..redis.link.linking import Call
from ..redis.link.resp import ErrorReply, ProtocolError, Reader
from ..redis.link.script import Script

__all__ = ["MOST_OWED", "Heard", "Wire"]

MOST_OWED = 100
"""Answers that a node may owe on one connection. It bounds what a node that hangs has to do as it
goes on, and what the system keeps for it meanwhile."""

_MOST = 4 * 1024 * 1024
"""Bytes without a whole reply at most: a flood must not fill the memory."""
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

Heard = Callable[[Any], None]
"""Hears a reply, or the exception that took its place."""


class _Owed(NamedTuple):
    call: Call
    heard: Heard
    sent: float
    again: float
    """Until when it is sent again where this connection ends; 0: never."""


class Wire:
    """A place for one connection to one node. Not for two threads at once."""

    __slots__ = ("_known", "_out", "_owed", "_raw", "_reader", "_socket", "_waiting", "votes_from")

    def __init__(self) -> None:
        self.votes_from = 0.0
        """When the node may vote, by this machine's clock."""
        self._socket: DeadlineSocket | None = None
        self._raw: Any = None
        self._reader = Reader(_Nowhere())
        self._waiting = 0
        self._out: bytes | memoryview = b""
        self._owed: deque[_Owed] = deque()
        self._known: set[Script] = set()

    @property
    def connected(self) -> bool:
        """There is a connection; whether it still works is seen when it is used."""
        return self._raw is not None

    @property
    def is_young(self) -> bool:
        """The node may not vote yet."""
        return self.votes_from > monotonic()

    @property
    def full(self) -> bool:
        """The node owes so many answers that it is asked nothing more."""
        return len(self._owed) >= MOST_OWED

    @property
    def owes(self) -> bool:
        """An answer is due on it."""
        return bool(self._owed)

    @property
    def waits_to_send(self) -> bool:
        """The system has not taken all of what is to be sent."""
        return len(self._out) > 0

    @property
    def late_since(self) -> float:
        """When the first of the answers that are due was asked for."""
        return self._owed[0].sent

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        number: int = self._raw.fileno()
        return number

    def open(self, connected: DeadlineSocket, votes_from: float) -> None:
        """Use this connection, on which nothing is due."""
        self._socket, self._raw = connected, connected.raw
        self._raw.setblocking(False)
        self._reader, self._out, self._waiting = Reader(_Nowhere()), b"", 0
        self._known.clear()
        self.votes_from = votes_from

    def ask(self, call: Call, heard: Heard, again: float) -> None:
        """Send a call; `heard` hears the answer, as a later `read` finds it."""
        script, keys, args = call
        if script in self._known:
            packed = script.call(keys, args)
        else:
            packed = script.call_in_full(keys, args)
            self._known.add(script)
        self._owed.append(_Owed(call, heard, monotonic(), again))
        self._out = bytes(self._out) + packed if len(self._out) else packed

    def send(self) -> None:
        """Send what the system takes. Raises what `read` raises."""
        try:
            while len(self._out):
                sent = self._raw.send(self._out)
                self._out = memoryview(self._out)[sent:]
        except _NOT_YET:
            pass
        except OSError as error:
            raise ConnectionLost(error.strerror or str(error)) from error

    def read(self) -> None:
        """Read what has come, and let it be heard.

        Raises `ConnectionLost` or `ProtocolError`: then the connection is of no more use.
        """
        try:
            while True:
                data = self._raw.recv(65536)
                if not data:
                    raise ConnectionLost("the server closed the connection")
                self._reader.feed(data)
                self._waiting += len(data)
                if self._waiting > _MOST:
                    raise ProtocolError(data[:64])
                if len(data) < 65536 and not isinstance(self._raw, ssl.SSLSocket):
                    break
        except _NOT_YET:
            pass
        except OSError as error:
            raise ConnectionLost(error.strerror or str(error)) from error
        while self._reader.has(1):
            self._waiting = 0
            try:
                answer: Any = self._reader.read()
            except ErrorReply as refusal:
                answer = refusal
            if not self._owed:
                raise ProtocolError(b"more than one reply to one command")
            owed = self._owed.popleft()
            if isinstance(answer, ErrorReply) and answer.code == "NOSCRIPT":
                # the server has been told to forget; this time it gets the whole text
                self._known.discard(owed.call[0])
                self.ask(owed.call, owed.heard, owed.again)
                self.send()
            else:
                owed.heard(answer)

    def lose(self, error: Exception) -> list[tuple[Call, float]]:
        """End the connection: who waits for an answer hears of it.

        Returns the calls that are to be sent again, each with its end.
        """
        sock, self._socket, self._raw = self._socket, None, None
        owed, self._owed = self._owed, deque()
        self._reader, self._out, self._waiting = Reader(_Nowhere()), b"", 0
        if sock is not None:
            sock.close()
        for one in owed:
            one.heard(error)
        return [(one.call, one.again) for one in owed if one.again]

    def is_hung(self, seconds: float) -> bool:
        """The node has owed an answer for so long that it will be asked over another connection."""
        return bool(self._owed) and monotonic() - self._owed[0].sent > seconds


class _Nowhere:
    """The source of a reader that is fed."""

    def receive(self) -> bytes:
        raise ProtocolError(b"a reply that was whole has more to it")
