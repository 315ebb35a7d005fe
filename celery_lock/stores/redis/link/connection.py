"""One connection: made when it is needed, replaced once when it turns out to be dead."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ....errors import StoreError
from ....model.per_process import this_process
from ...link.deadline_socket import ConnectionLost, DeadlineExceeded, DeadlineSocket
from ...link.dialling import Unreachable
from .address import Address
from .connect import connect
from .discovery import Directory
from .guard import Guard, Guarded, Seen
from .login import NoCredentials, greeting_of, login_of
from .resp import ErrorReply, ProtocolError, Reader, Reply, filled

__all__ = ["UNANSWERED", "Connection"]


UNANSWERED = (
    ConnectionLost,
    DeadlineExceeded,
    NoCredentials,
    ProtocolError,
    StoreError,  # of the directory, which knows no server
    Unreachable,
)
"""How a call can end without a reply, so that nobody knows whether it was executed."""

Failed = Callable[[Exception, float], None]
"""Hears why a command had no good reply, and until when its caller of that moment waits."""

_DOUBTFUL = (ConnectionLost, DeadlineExceeded, Unreachable)
_TAKES_NO_WRITES = ("MASTERDOWN", "READONLY")
"""What a server says that is no longer the primary, or not yet."""


class Connection:
    """A place for one connection to the server. Not for two threads at once: see the pool."""

    __slots__ = (
        "_directory",
        "_doubts",
        "_guard",
        "_looks",
        "_owed",
        "_process",
        "_reader",
        "_seen",
        "_socket",
        "address",
        "known",
        "unread",
    )

    def __init__(self, directory: Directory, guard: Guard | None = None) -> None:
        self.address: Address | None = None
        """Where it goes, or last went."""
        self.unread = 0
        """How many replies are due on it."""
        self.known: set[object] = set()
        """What its users have learnt of the server at the other end; empty on a new connection."""
        self._owed: Failed | None = None
        self._directory = directory
        self._looks = directory.changes
        self._guard = guard
        self._seen: Seen | None = None
        self._doubts = 0
        self._process: object = None
        self._socket: DeadlineSocket | None = None
        self._reader: Reader | None = None

    @property
    def connected(self) -> bool:
        """There is a connection; whether it still works is seen when it is used."""
        return self._socket is not None

    @property
    def owes(self) -> bool:
        """`send_unheard` has left a reply on it."""
        return self._owed is not None

    def begin(self, packed: bytes, ends: float, replies: int = 1, *, claims: bool = False) -> None:
        """Send a command, or several in one piece; each reply is read by `finish`, before `ends`.

        A reply that is due to an earlier caller can never be taken for one of these: if there is
        such a one, the connection is ended and the command sent over a new one. What
        `send_unheard` has left is read first. `claims`: nothing is sent to a server that the guard
        keeps claims from; raises `Guarded` then.
        """
        if self._looks:
            self._directory.look(ends)
        if self._owed is not None:
            self.hear(ends)
        try:
            sock = self._socket
            if (
                sock is None
                or self.unread
                or self._doubts != self._directory.doubts
                or self._process is not this_process.value
            ):
                self.close()
                sock = self._open(ends)
            if claims and self._guard is not None and self._reader is not None:
                sock.ends = ends
                self._seen = self._guard.look(self._seen, sock.send, self._reader.read)
                self._guard.admit(self._seen)
            self.unread = replies
            sock.ends = ends
            sock.send(packed)
        except Guarded:
            raise
        except BaseException as error:
            self._give_up(error)
            raise

    def finish(self) -> Reply:
        """Return the next reply that is due, before the end that `begin` was told.

        An `ErrorReply` is a reply like any other. After any other error the connection has ended,
        and no more replies are due.
        """
        if not self.unread or self._process is not this_process.value:
            self.close()
            raise ConnectionLost("no reply is due on it")
        return self._next()

    def _next(self) -> Reply:
        """Return the next reply that is due, to who has just begun or has asked whether one is."""
        reader = self._reader
        assert reader is not None
        try:
            reply = reader.read()
            self.unread -= 1
            if not (self.unread or reader.empty):
                raise ProtocolError(b"more than one reply to one command")
        except ErrorReply as refusal:
            self.unread -= 1
            if self.address is not None and refusal.code in _TAKES_NO_WRITES:
                self._directory.demote(self.address)
            elif refusal.code == "NOREPLICAS":  # it may be one that is cut off from the others
                self._directory.suspect()
            raise
        except BaseException as error:
            self._give_up(error)
            raise
        return reply

    def send_unheard(self, packed: bytes, ends: float, failed: Failed) -> None:
        """Send a command, and leave its reply to whoever uses the connection next.

        If that is an error then, or does not come in time, it is given to `failed`, with the end
        of that call. Raises what `begin` raises.
        """
        self.begin(packed, ends)
        self._owed = failed  # first: a stop that falls in between ends the connection
        self.unread = 0

    def hear(self, ends: float, packed: bytes = b"") -> bool:
        """Read the reply that `send_unheard` has left, if any, before `ends`.

        What is wrong with it is not this caller's: nothing but a stop is raised.

        `packed`: a command that is sent before, so that both replies are waited for at once.
        `False`: it is still to be sent, or sent again: the connection has ended under it.
        """
        failed, self._owed = self._owed, None
        sock = self._socket
        if failed is None or sock is None or self._process is not this_process.value:
            return False  # in a child it is its parent's
        try:
            if self._doubts != self._directory.doubts:
                self.close()
                raise ConnectionLost("the server is another one by now")
            sock.ends, self.unread = ends, 2 if packed else 1
            if packed:
                sock.send(packed)
            self._next()
        except (ErrorReply, *UNANSWERED) as error:
            if packed:  # its reply would be taken for one to what `failed` sends
                self._give_up(error)
            failed(error, ends)
            return False
        except BaseException:
            self.close()
            failed(DeadlineExceeded(), ends)  # whoever stops this has no time for more
            raise
        return True

    def exchange(self, packed: bytes, ends: float, is_sent: bool = False) -> Reply:
        """Send a command, if it is not sent yet, and return its reply, before `ends`.

        Where the connection has died the command is sent once more over a new one: it may have
        been executed, so it has to be one that can be repeated.
        """
        try:
            if not is_sent:
                self.begin(packed, ends)
            return self._next()
        except ConnectionLost:
            self.begin(packed, ends)
            return self._next()

    def exchange_behind(self, packed: bytes, ends: float) -> Reply:
        """Do so, and send before what `send_unheard` has left is read."""
        return self.exchange(packed, ends, self._owed is not None and self.hear(ends, packed))

    def exchange_each(self, commands: Sequence[bytes], ends: float) -> list[Reply | Exception]:
        """Send commands in one piece; return for each its reply, or the error that it ended with.

        Where the connection has died those without a reply are sent once more over a new one.
        """
        outcomes: list[Reply | Exception] = []
        failure = self._exchange_rest(commands, outcomes, ends)
        if isinstance(failure, ConnectionLost):
            failure = self._exchange_rest(commands, outcomes, ends)
        return filled(outcomes, failure, len(commands))

    def poll(self) -> bool:
        """Take in what has come, and wait for nothing; `True`: the replies that are due can be
        read now, or why there are none."""
        sock, reader = self._socket, self._reader
        if sock is None or reader is None or self._process is not this_process.value:
            return True
        due = max(self.unread, 1)
        try:
            while not reader.has(due) and (data := sock.arrived()):
                reader.feed(data)
        except ConnectionLost:
            return True  # who reads on hears it, after the replies that came before
        return reader.has(due)

    def fileno(self) -> int:
        """Return what a selector knows it by; -1: it has ended."""
        return -1 if self._socket is None else self._socket.fileno()

    def _exchange_rest(
        self, commands: Sequence[bytes], outcomes: list[Reply | Exception], ends: float
    ) -> Exception | None:
        """Append the outcomes that are still missing; return what left some without a reply."""
        rest = commands[len(outcomes) :]
        try:
            self.begin(b"".join(rest), ends, len(rest))
        except (ErrorReply, *UNANSWERED) as error:  # a refused login refuses all of them
            return error
        return self.collect(outcomes)

    def collect(self, outcomes: list[Reply | Exception]) -> Exception | None:
        """Append the replies that are due; return what left some without one."""
        for _ in range(self.unread):
            try:
                outcomes.append(self.finish())
            except ErrorReply as refusal:
                outcomes.append(refusal)
            except UNANSWERED as error:
                return error
        return None

    def suspect(self) -> None:
        """Hear that the server answers, and that something is wrong with it all the same."""
        self._directory.suspect()

    def close(self) -> None:
        """End the connection; the replies that were due on it are never read."""
        sock, self._socket = self._socket, None
        self._reader = self._owed = self._seen = None
        self.unread = 0
        self.known.clear()
        if sock is not None:
            sock.close()

    def _give_up(self, error: BaseException) -> None:
        """End the connection after an error: whatever it was, a late reply must not be read."""
        self.close()
        if self.address is not None and isinstance(error, _DOUBTFUL):
            self._directory.doubt(self.address)

    def _open(self, ends: float) -> DeadlineSocket:
        """Connect to where the server is now, log in and choose the database."""
        self._doubts = self._directory.doubts
        self.address = address = self._directory.find(ends)
        sock = connect(address, ends)
        self._process, self._socket, self._reader = this_process.value, sock, Reader(sock)
        login = login_of(address)
        greeting = greeting_of(address, login)
        if greeting:
            sock.send(b"".join(greeting))  # in one piece, and then all is answered in one
            try:
                for _ in greeting:
                    self._reader.read()
            except ErrorReply as refusal:
                secret = login[-1] if login else ""
                if not secret:
                    raise
                # a server that knows no AUTH repeats what it was sent
                raise ErrorReply(str(refusal).replace(secret, "***")) from None
        return sock
