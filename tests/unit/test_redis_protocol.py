"""Packing commands and reading replies, byte by byte where it matters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from celery_lock.stores.redis.link.resp import ErrorReply, ProtocolError, Reader, Reply, command
from celery_lock.stores.redis.scripts import ACQUIRE, PEEK, RELEASE, RENEW, UNDO, composed

pytestmark = pytest.mark.unit


class Pieces:
    """Hands out bytes in the given pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def receive(self) -> bytes:
        return next(self._pieces)


def read(data: bytes, size: int = 1_000_000) -> Reply:
    reader = Reader(Pieces(iter([data[n : n + size] for n in range(0, len(data), size)])))
    reply = reader.read()
    assert reader.empty
    return reply


def test_a_command_is_packed_by_its_bytes() -> None:
    assert command("GET", "k\u00e4se", 7, "\0\r\n") == (
        b"*4\r\n$3\r\nGET\r\n$5\r\nk\xc3\xa4se\r\n$1\r\n7\r\n$3\r\n\0\r\n\r\n"
    )


def test_half_a_character_can_be_packed() -> None:
    assert command("\ud800") == b"*1\r\n$3\r\n\xed\xa0\x80\r\n"


REPLIES = [
    (b":42\r\n", 42),
    (b":-1\r\n", -1),
    (b"+OK\r\n", b"OK"),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
    (b"*0\r\n", []),
    (b"*3\r\n:1\r\n$2\r\nab\r\n*1\r\n+x\r\n", [1, b"ab", [b"x"]]),
]


@pytest.mark.parametrize(("data", "reply"), REPLIES)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_reply_is_read_however_it_is_cut(data: bytes, reply: Reply, size: int) -> None:
    assert read(data, size) == reply


def test_replies_are_read_one_by_one() -> None:
    reader = Reader(Pieces(iter([b":1\r\n:2\r\n:", b"3\r\n"])))

    assert [reader.read() for _ in range(3)] == [1, 2, 3]


def test_an_error_keeps_its_text() -> None:
    with pytest.raises(ErrorReply, match=r"^NOSCRIPT No matching script"):
        read(b"-NOSCRIPT No matching script\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n",
        b":x\r\n",
        b"$x\r\n",
        b"\r\n",
        b"$99999999999\r\n",
        b"*9999999999\r\n",
        b"*2\r\n-ERR in a list\r\n:1\r\n",
    ],
)
def test_what_is_no_reply_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(data)


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    def flood() -> Iterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    with pytest.raises(ProtocolError):
        Reader(Pieces(flood())).read()


@pytest.mark.parametrize("script", [ACQUIRE, RELEASE, RENEW, UNDO, PEEK])
def test_a_script_is_sent_by_its_digest_or_in_full(script: object) -> None:
    name: str = script.name  # type: ignore[attr-defined]
    text = composed(name)
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    keys, args = ["k\u00e4se", "record"], ["word", 7]

    assert script.call(keys, args) == command("EVALSHA", digest, 2, *keys, *args)  # type: ignore[attr-defined]
    full = script.call_in_full(keys, args)  # type: ignore[attr-defined]
    assert full == command("EVAL", text, 2, *keys, *args)
