"""The Redis protocol, as much of it as a lock needs: pack a command, read a reply.

Written out here because a deadline has to hold for each byte of a reply, and because packing a
command costs half of what a client library's call does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Garbage", "Reader", "Refused", "Reply", "Source", "command", "pack"]

Reply = int | bytes | None | list["Reply"]

_MOST = 4 * 1024 * 1024
"""Bytes of one reply at most: `INFO` has some thousand. A flood must not fill the memory."""


class Refused(Exception):
    """The server answered with an error; its text begins with a code such as `NOSCRIPT`."""


class Garbage(Exception):
    """What came is no reply: this is no Redis, or the connection is out of step."""


class Source(Protocol):
    """Where bytes come from; it raises when there are no more, or not in time."""

    def receive(self) -> bytes: ...


def command(*parts: str | int) -> bytes:
    """Return a whole command as it goes over the wire."""
    return pack(f"*{len(parts)}\r\n", (), parts)


def pack(head: str, keys: Sequence[str], args: Sequence[str | int]) -> bytes:
    """Return a command whose first parts are packed already, with these keys and arguments."""
    packed = head
    for text in keys:
        packed += f"${len(text)}\r\n{text}\r\n"
    for arg in args:
        text = str(arg)
        packed += f"${len(text)}\r\n{text}\r\n"
    if packed.isascii():  # nearly always, and then the lengths are right
        return packed.encode()
    encoded = [str(part).encode("utf-8", "surrogatepass") for part in (*keys, *args)]
    return head.encode() + b"".join([b"$%d\r\n%b\r\n" % (len(text), text) for text in encoded])


class Reader:
    """Reads replies from one connection."""

    __slots__ = ("_at", "_data", "_source")

    def __init__(self, source: Source) -> None:
        self._source = source
        self._data = b""
        self._at = 0

    @property
    def empty(self) -> bool:
        """Nothing came beyond the replies that were read."""
        return self._at == len(self._data)

    def read(self) -> Reply:
        """Return the next reply; raise `Refused` if it is an error, `Garbage` if it is none."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise Refused(rest.decode("utf-8", "replace"))
        if kind == b"+":
            return rest
        try:
            number = int(rest)
        except ValueError:
            raise Garbage(line[:64]) from None
        if kind == b":":
            return number
        if kind == b"$":
            return None if number < 0 else self._exactly(number)
        if kind == b"*" and number <= _MOST:
            return None if number < 0 else [self.read() for _ in range(number)]
        raise Garbage(line[:64])

    def _line(self) -> bytes:
        end = self._data.find(b"\r\n", self._at)
        while end < 0:
            self._more()
            end = self._data.find(b"\r\n", self._at)
        line = self._data[self._at : end]
        self._at = end + 2
        return line

    def _exactly(self, count: int) -> bytes:
        if count > _MOST:
            raise Garbage(b"$%d" % count)
        end = self._at + count
        while len(self._data) < end + 2:
            self._more()
            end = self._at + count
        text = self._data[self._at : end]
        self._at = end + 2
        return text

    def _more(self) -> None:
        """Append what comes next, and forget what has been read."""
        if self._at == len(self._data):
            self._data, self._at = self._source.receive(), 0
            return
        rest = self._data[self._at :]
        if len(rest) > _MOST:
            raise Garbage(rest[:64])
        self._data = rest + self._source.receive()
        self._at = 0
