"""One connection: made when it is needed, replaced once when it turns out to be dead."""

from __future__ import annotations

from .address import Address
from .dial import Dialled, dial
from .line import Hangup, Line
from .resp import Garbage, Reader, Refused, Reply, command

__all__ = ["NoCredentials", "Wire"]


class NoCredentials(Exception):
    """The credential provider failed; the cause says how."""


class Wire:
    """A place for one connection to `address`. Not for two threads at once: see the pool."""

    __slots__ = ("_address", "_connection", "_line", "_reader")

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Dialled | None = None
        self._line: Line | None = None
        self._reader: Reader | None = None

    @property
    def connected(self) -> bool:
        """There is a connection; whether it still works is seen when it is used."""
        return self._connection is not None

    def exchange(self, packed: bytes, ends: float) -> Reply:
        """Send a command and return its reply, before `ends`.

        Where the connection has died the command is sent once more over a new one: it may have
        been executed, so it has to be one that can be repeated.
        """
        try:
            try:
                return self._exchange(packed, ends)
            except Hangup:
                self.close()
                return self._exchange(packed, ends)
        except Refused:
            raise  # an answer like any other: the connection is as good as before
        except BaseException:  # whatever it was, a late reply must not be taken for the next one
            self.close()
            raise

    def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        self._line = self._reader = None
        if connection is not None:
            connection.disconnect()

    def _exchange(self, packed: bytes, ends: float) -> Reply:
        line, reader = self._line, self._reader
        if line is None or reader is None:
            line, reader = self._open(ends)
        line.ends = ends
        line.send(packed)
        reply = reader.read()
        if not reader.empty:
            raise Garbage(b"more than one reply to one command")
        return reply

    def _open(self, ends: float) -> tuple[Line, Reader]:
        """Connect, log in and choose the database, all said in one breath."""
        self._connection, sock = dial(self._address, ends)
        line = Line(sock, ends)
        reader = Reader(line)
        greeting = self._greeting()
        if greeting:
            line.send(b"".join(greeting))
            try:
                for _ in greeting:
                    reader.read()
            except Refused:
                self.close()
                raise
        self._line, self._reader = line, reader
        return line, reader

    def _greeting(self) -> list[bytes]:
        address = self._address
        login = address.login
        if address.credential_provider is not None:
            try:
                login = tuple(address.credential_provider.get_credentials())
            except Exception as error:  # somebody else's code, which may ask a service
                raise NoCredentials from error
        greeting = [command("AUTH", *login)] if login else []
        if address.client_name:
            greeting.append(command("CLIENT", "SETNAME", address.client_name))
        if address.db:
            greeting.append(command("SELECT", address.db))
        return greeting
