"""One HTTP/1.1 connection to a member: requests are sent in one piece and answered in order."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...model.clock import monotonic
from ...model.per_process import this_process
from ..link.deadline_socket import DeadlineExceeded, DeadlineSocket
from ..link.dialling import Unreachable, addresses_of, dialled
from ..link.tls import context_of
from .address import Endpoint

__all__ = ["Answer", "Connection", "NoEtcd", "Request"]

Request = tuple[str, Any]
"""A path of the gateway, and what is asked; `None`: nothing is sent (GET)."""


class NoEtcd(Exception):
    """What answered is no etcd with a JSON gateway; its text begins what it said."""


@dataclass(frozen=True)
class Answer:
    """One answer: the status of HTTP, and its text."""

    status: int
    text: bytes

    def read(self) -> Any:
        """Return what it says, of a stream the first message; raises `NoEtcd` for another text."""
        for text in (self.text, self.text.split(b"\n", 1)[0]):
            with suppress(ValueError):
                return json.loads(text or b"{}")
        raise NoEtcd(self.text[:60].decode("ascii", "replace"))


class Connection:
    """A connection to one member. Not for two threads at once."""

    def __init__(self, endpoint: Endpoint, tls: Mapping[str, Any] | None, ends: float) -> None:
        """Connect, before `ends`; raises `Unreachable` or `DeadlineExceeded`."""
        self.endpoint = endpoint
        self.used = False
        """It has answered before: the server may have closed it meanwhile."""
        self._rest = b""
        self._process = this_process.value
        self._sock = _dial(endpoint, tls, ends)
        self._socket = DeadlineSocket(self._sock, ends, self.close)

    @property
    def is_ours(self) -> bool:
        """It was made in this process, and not in one that this was forked from."""
        return self._process is this_process.value

    def close(self) -> None:
        """End it; a connection of the parent process is left to that."""
        if self.is_ours:
            with suppress(OSError):
                self._sock.close()

    def begin(self, requests: Sequence[Request], token: str, ends: float) -> None:
        """Send requests in one piece."""
        self._socket.ends = ends
        self._socket.send(b"".join(self._packed(request, token) for request in requests))

    def finish(self) -> Answer:
        """Return the answer to the next request."""
        status, headers = self._head()
        text = b"".join(self._pieces(headers))
        self.used = True
        if headers.get(b"connection", b"").lower() == b"close":
            self._rest, self.used = b"", False
            self.close()
        return Answer(status, text)

    def head(self) -> tuple[int, Mapping[bytes, bytes]]:
        """Return the status and the headers of a stream, whose messages `piece` returns."""
        return self._head()

    def piece(self) -> bytes:
        """Return the next piece of a stream; empty: it has ended."""
        size = int(self._row().split(b";")[0], 16)
        data = self._exactly(size)
        self._exactly(2)
        return data

    def _pieces(self, headers: Mapping[bytes, bytes]) -> list[bytes]:
        if headers.get(b"transfer-encoding", b"").lower() != b"chunked":
            return [self._exactly(int(headers.get(b"content-length", b"0")))]
        pieces = []
        while size := int(self._row().split(b";")[0], 16):
            pieces.append(self._exactly(size))
            self._exactly(2)
        while self._row():  # what follows the last piece: an error has such lines
            pass
        return pieces

    def _packed(self, request: Request, token: str) -> bytes:
        path, asked = request
        login = f"Authorization: {token}\r\n" if token else ""
        if asked is None:
            return f"GET {path} HTTP/1.1\r\nHost: {self.endpoint}\r\n{login}\r\n".encode()
        body = json.dumps(asked, separators=(",", ":")).encode()
        return (
            f"POST {path} HTTP/1.1\r\nHost: {self.endpoint}\r\n{login}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def _head(self) -> tuple[int, dict[bytes, bytes]]:
        row = self._row()
        parts = row.split(b" ", 2)
        if not parts[0].startswith(b"HTTP/1.") or len(parts) < 2 or not parts[1].isdigit():
            raise NoEtcd(row[:60].decode("ascii", "replace"))
        headers = {}
        while field := self._row():
            name, _, value = field.partition(b":")
            headers[name.strip().lower()] = value.strip()
        return int(parts[1]), headers

    def _row(self) -> bytes:
        while (end := self._rest.find(b"\n")) < 0:
            if len(self._rest) > 65536:
                raise NoEtcd(self._rest[:60].decode("ascii", "replace"))
            self._rest += self._socket.receive()
        row, self._rest = self._rest[:end], self._rest[end + 1 :]
        return row.rstrip(b"\r")

    def _exactly(self, size: int) -> bytes:
        pieces, missing = [self._rest], size - len(self._rest)
        while missing > 0:
            pieces.append(self._socket.receive())
            missing -= len(pieces[-1])
        data = b"".join(pieces)
        self._rest = data[size:]
        return data[:size]


def _dial(endpoint: Endpoint, tls: Mapping[str, Any] | None, ends: float) -> socket.socket:
    addresses = addresses_of(endpoint.host, endpoint.port, ends)
    cause: OSError = OSError("the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        # the first of two addresses must not spend the time of the second
        share = (ends - monotonic()) / (len(addresses) - number)
        try:
            sock = dialled(socket.socket(family, kind, protocol), address, share)
        except OSError as error:
            cause = error
            continue
        return sock if tls is None else _secured(sock, endpoint, tls, ends)
    raise Unreachable from cause


def _secured(
    sock: socket.socket, endpoint: Endpoint, tls: Mapping[str, Any], ends: float
) -> socket.socket:
    try:
        left = ends - monotonic()
        if left <= 0:
            raise DeadlineExceeded
        sock.settimeout(left)
        return context_of(tls).wrap_socket(sock, server_hostname=endpoint.host)
    except OSError as error:
        sock.close()
        raise Unreachable from error
    except BaseException:
        sock.close()
        raise
