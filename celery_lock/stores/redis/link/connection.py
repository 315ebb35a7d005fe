"""One connection: made when it is needed, replaced once when it turns out to be dead."""

from __future__ import annotations

from .address import Address
from .connect import Dialled, dial
from .deadline_socket import Hangup, Line
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
        login = self._login()
        greeting = self._greeting(login)
        if greeting:
            line.send(b"".join(greeting))
            try:
                for _ in greeting:
                    reader.read()
            except Refused as refused:
                self.close()
                secret = login[-1] if login else ""
                if not secret:
                    raise
                # a server that knows no AUTH repeats what it was sent
                raise Refused(str(refused).replace(secret, "***")) from None
        self._line, self._reader = line, reader
        return line, reader

    def _login(self) -> tuple[str, ...]:
        provider = self._address.credential_provider
        if provider is None:
            return self._address.login
        try:
            return tuple(provider.get_credentials())
        except Exception as error:  # somebody else's code, which may ask a service
            raise NoCredentials from error

    def _greeting(self, login: tuple[str, ...]) -> list[bytes]:
        greeting = [command("AUTH", *login)] if login else []
        if self._address.client_name:
            greeting.append(command("CLIENT", "SETNAME", self._address.client_name))
        if self._address.db:
            greeting.append(command("SELECT", self._address.db))
        return greeting
