"""The Redis protocol, as much of it as a lock needs: pack a command, read a reply.

Written out here because a deadline has to hold for each byte of a reply, and because packing a
command costs half of what a client library's call does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

__all__ = [
    "ErrorReply",
    "ProtocolError",
    "Reader",
    "Reply",
    "Source",
    "command",
    "filled",
    "pack",
]

Reply = int | bytes | None | list["Reply"]

_ERROR, _WORD, _NUMBER, _TEXT, _LIST = b"-+:$*"
"""What a reply begins with, by its kind."""

_MOST = 4 * 1024 * 1024
"""Bytes of one reply at most: `INFO` has some thousand. A flood must not fill the memory."""

_FROM_SCRIPT = re.compile(
    r"-(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOPERM|NOREPLICAS|OOM|READONLY|TRYAGAIN)\b"
)
"""Redis 6.2 wraps the error of a command that a script called."""


class ErrorReply(Exception):
    """The server answered with an error; its text begins with a code such as `NOSCRIPT`."""

    @property
    def code(self) -> str:
        """The word that says what kind of error it is, such as `NOPERM`."""
        text = str(self)
        inner = _FROM_SCRIPT.search(text)
        if inner:
            return inner[1]
        if "ACL failure in script" in text or "can't run this command or subcommand" in text:
            return "NOPERM"
        if "Protocol error: unauthenticated" in text:  # before a login few words are listened to
            return "NOAUTH"
        return text.partition(" ")[0]


class ProtocolError(Exception):
    """What came is no reply: this is no Redis, or the connection is out of step."""


class Source(Protocol):
    """Where bytes come from; it raises when there are no more, or not in time."""

    def receive(self) -> bytes: ...


def command(*parts: str | int) -> bytes:
    """Return a whole command as it goes over the wire."""
    return pack(f"*{len(parts)}\r\n", (), parts)


def pack(head: str, keys: Sequence[str], args: Sequence[str | int]) -> bytes:
    """Return a command whose first parts are packed already, with these keys and arguments."""
    texts = [*keys, *map(str, args)]
    lines = texts * 2
    try:
        lines[::2] = map(_SIZES.__getitem__, map(len, texts))
    except IndexError:
        lines[::2] = [f"${len(text)}" for text in texts]
    lines[1::2] = texts
    lines.append("")
    packed = head + "\r\n".join(lines)
    if packed.isascii():  # nearly always, and then the lengths are right
        return packed.encode()
    encoded = [str(part).encode("utf-8", "surrogatepass") for part in (*keys, *args)]
    return head.encode() + b"".join([b"$%d\r\n%b\r\n" % (len(text), text) for text in encoded])


def filled(
    outcomes: list[Reply | Exception], failure: Exception | None, count: int
) -> list[Reply | Exception]:
    """Return so many outcomes: those that failed as one have the failure."""
    if failure is not None:
        if isinstance(failure, ProtocolError):  # the replies before may be out of step too
            outcomes.clear()
        outcomes += [failure] * (count - len(outcomes))
    return outcomes


_SIZES = [f"${size}" for size in range(256)]
"""What stands before each part of a command, by the part's length: each run writes some thirty."""


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

    def feed(self, data: bytes) -> None:
        """Append what has come from the source without being waited for."""
        self._data = self._data[self._at :] + data
        self._at = 0

    def has(self, count: int) -> bool:
        """Whether so many whole replies have come: `read` returns them without a wait."""
        at = self._at
        for _ in range(count):
            at = self._end_of_reply(at)
            if at < 0:
                return False
        return True

    def _end_of_reply(self, at: int) -> int:
        """Return where the reply that begins here ends; -1: it has not all come."""
        data = self._data
        line = data.find(b"\r\n", at)
        if line < 0:
            return -1
        kind, number, end = data[at : at + 1], data[at + 1 : line], line + 2
        if kind not in (b"$", b"*") or not number.isdigit():
            return end  # also what `read` will refuse
        if kind == b"$":
            end += int(number) + 2
            return end if end <= len(data) else -1
        for _ in range(int(number)):
            end = self._end_of_reply(end)
            if end < 0:
                return -1
        return end

    def read(self) -> Reply:
        """Return the next reply; raise `ErrorReply` if it is an error."""
        data, at = self._data, self._at
        if at == len(data):  # the usual case: the replies before have been read
            self._data = data = self._source.receive()
            self._at = at = 0
        end = data.find(b"\r\n", at)
        while end < 0:
            self._more()
            data, at = self._data, self._at
            end = data.find(b"\r\n", at)
        self._at = end + 2
        kind, line = data[at], data[at + 1 : end]
        if kind == _ERROR:
            raise ErrorReply(line.decode("utf-8", "replace"))
        if kind == _WORD:
            return line
        try:
            number = int(line)
        except ValueError:
            raise ProtocolError(data[at:end][:64]) from None
        if kind == _NUMBER:
            return number
        if kind == _TEXT:
            return None if number < 0 else self._exactly(number)
        if kind == _LIST and number <= _MOST:
            return None if number < 0 else self._list(number)
        raise ProtocolError(data[at:end][:64])

    def _list(self, count: int) -> Reply:
        try:
            return [self.read() for _ in range(count)]
        except ErrorReply as error:  # what follows it in the list would be taken for a reply
            raise ProtocolError(f"a list with the error {error}".encode()) from error

    def _exactly(self, count: int) -> bytes:
        if count > _MOST:
            raise ProtocolError(b"$%d" % count)
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
            raise ProtocolError(rest[:64])
        self._data = rest + self._source.receive()
        self._at = 0
