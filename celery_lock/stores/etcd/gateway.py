"""Calls to a cluster: which member is asked, who logs in, and one deadline over all of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from ...errors import StoreError
from ...model.clock import monotonic
from ...model.per_process import PerProcess, look_for_fork
from ..link.deadline_socket import ConnectionLost, DeadlineExceeded
from .address import Address
from .connection import Answer, Connection, NoEtcd, Request
from .errors import FAILURES, Busy, Refusal, translated

__all__ = ["Gateway"]

_PAUSE = 0.05
"""Seconds before all members are asked once more: they are choosing a leader, mostly."""
_AUTHENTICATE = "/v3/auth/authenticate"


class _Own:
    """What one process has of the cluster; a child that was forked begins with none of it."""

    def __init__(self, size: int) -> None:
        self.free = threading.Semaphore(size)
        self.idle: list[Connection] = []  # `pop` and `append` are atomic
        self.member = 0
        """Which endpoint is asked: the last one that has answered."""
        self.token = ""

    def doubt(self, member: int, members: int) -> None:
        """Ask another member from now on."""
        if self.member == member:
            self.member = (member + 1) % members


class Gateway:
    """What the store asks and hears.

    A request whose connection dies, or whose member does not answer in its share of the time, is
    sent once more, to another member if there is one: it may have been executed, so each has to be
    one that can be repeated.
    """

    def __init__(self, address: Address, *, deadline: float, connections: int) -> None:
        self.deadline = deadline
        self.address = address
        self._own = PerProcess(lambda: _Own(connections))

    @property
    def shown(self) -> str:
        """Where it is, without user, password and query."""
        return self.address.shown

    def ask(self, path: str, asked: Any, within: float | None = None) -> Any:
        """Ask one thing; raises `Refusal` where the cluster says no, `StoreError` for the rest."""
        answer = self.ask_each([(path, asked)], within)[0]
        if isinstance(answer, Refusal):
            raise answer
        return answer

    def ask_each(
        self,
        requests: Sequence[Request],
        within: float | None = None,
        *,
        call: float | None = None,
    ) -> list[Any]:
        """Ask several things in one round trip, in this order; a `Refusal` may be among them.

        `call`: the seconds of the call that they are a part of. An error names these.
        """
        left = self.deadline if within is None else min(within, self.deadline)
        ends, seconds = monotonic() + left, call or left
        members = len(self.address.endpoints)
        failure: Exception = Busy()
        with self._lent(ends, seconds) as own:
            member = own.member
            for tried in count(1):
                member = own.member
                # a member that hangs must not spend the time of the next
                share = monotonic() + (ends - monotonic()) / max(1, members + 1 - tried)
                try:
                    answers = self._ask_member(own, member, requests, share)
                except FAILURES as error:
                    # a refusal says more than that the time ran out over one more try
                    if not (isinstance(failure, Refusal) and isinstance(error, DeadlineExceeded)):
                        failure = error
                else:
                    lost = [one for one in answers if isinstance(one, Refusal) and one.is_passing]
                    if not lost:
                        return answers
                    failure = lost[0]
                own.doubt(member, members)
                if monotonic() + _PAUSE >= ends or not _goes_on(failure, tried, members):
                    break
                if tried >= members:
                    threading.Event().wait(_PAUSE)
            raise translated(failure, self.address, member, seconds) from failure

    def refused(self, refusal: Refusal) -> StoreError:
        """Return our error for a refusal."""
        return translated(refusal, self.address, 0, self.deadline)

    @contextmanager
    def follow(self, path: str, asked: Any, seconds: float) -> Iterator[Iterator[bytes]]:
        """Ask for a stream, and give its pieces until `seconds` are over; it ends with the block.

        The connection is one beside the others: whoever follows says how many may at a time.
        """
        look_for_fork()
        own, ends = self._own.value, monotonic() + seconds
        member = own.member
        try:
            opened = monotonic() + self.deadline
            connection = self._connect(member, opened)
            try:
                connection.begin([(path, asked)], self._token(own, connection, opened), ends)
                yield self._pieces(own, connection)
            finally:
                connection.close()
        except DeadlineExceeded:
            return
        except FAILURES as error:
            own.doubt(member, len(self.address.endpoints))
            raise translated(error, self.address, member, seconds) from error

    def close(self) -> None:
        """End this process's connections. The next call opens one again."""
        look_for_fork()
        own = self._own.drop()
        while own is not None and own.idle:
            own.idle.pop().close()

    # -- inside ------------------------------------------------------------------------------

    @contextmanager
    def _lent(self, ends: float, seconds: float) -> Iterator[_Own]:
        look_for_fork()
        own = self._own.value
        if not own.free.acquire(timeout=max(0.0, ends - monotonic())):
            raise translated(Busy(), self.address, own.member, seconds)
        try:
            yield own
        finally:
            own.free.release()

    def _ask_member(
        self, own: _Own, member: int, requests: Sequence[Request], ends: float
    ) -> list[Any]:
        endpoint = self.address.endpoints[member]
        while own.idle:
            try:
                connection = own.idle.pop()
            except IndexError:  # another thread was faster
                break
            if connection.endpoint == endpoint and connection.is_ours:
                try:
                    return self._exchange(own, connection, requests, ends)
                except ConnectionLost:
                    continue  # the server may have closed it long ago: all its fellows, too
            connection.close()
        return self._exchange(own, self._connect(member, ends), requests, ends)

    def _connect(self, member: int, ends: float) -> Connection:
        return Connection(self.address.endpoints[member], self.address.tls, ends)

    def _exchange(
        self, own: _Own, connection: Connection, requests: Sequence[Request], ends: float
    ) -> list[Any]:
        """Ask over this connection, and keep it for the next call if all went well."""
        try:
            token = self._token(own, connection, ends)
            answers = self._answers(connection, requests, token, ends)
            if token and any(isinstance(one, Refusal) and one.is_login for one in answers):
                # it has run out, or the users were changed: once more with a new one
                if own.token == token:
                    own.token = ""
                token = self._token(own, connection, ends)
                answers = self._answers(connection, requests, token, ends)
        except BaseException:
            connection.close()
            raise
        if any(isinstance(one, Refusal) and one.is_passing for one in answers):
            connection.close()  # behind one address a new one may lead to another
        elif connection.used:
            own.idle.append(connection)
        return answers

    def _answers(
        self, connection: Connection, requests: Sequence[Request], token: str, ends: float
    ) -> list[Any]:
        connection.begin(requests, token, ends)
        return [_read(connection.finish()) for _ in requests]

    def _token(self, own: _Own, connection: Connection, ends: float) -> str:
        """Return the token of this process's login; without a user there is none."""
        if not self.address.user or own.token:
            return own.token
        login = {"name": self.address.user, "password": self.address.password}
        answer = self._answers(connection, [(_AUTHENTICATE, login)], "", ends)[0]
        if isinstance(answer, Refusal):
            if answer.is_passing:
                raise answer
            raise Refusal(answer.code, answer.text, of_login=True)
        own.token = answer["token"]
        return own.token

    @staticmethod
    def _pieces(own: _Own, connection: Connection) -> Iterator[bytes]:
        status, _ = connection.head()
        if status != 200:
            own.token = ""  # it has run out, mostly; the call that follows says what is wrong
        while status == 200 and (piece := connection.piece()):
            yield piece


def _goes_on(failure: Exception, tried: int, members: int) -> bool:
    """Whether it is of use to ask once more."""
    if tried < members:
        return True
    if isinstance(failure, Refusal):  # of all members, which may have a leader soon
        return failure.is_passing
    return tried == members and isinstance(failure, ConnectionLost)  # a new one may do


def _read(answer: Answer) -> Any:
    """Return what an answer says, or its refusal."""
    if answer.status == 200 and not answer.text.startswith(b"{"):
        return answer.text  # of a page that is no JSON: metrics
    said = answer.read()
    if not isinstance(said, dict):
        raise NoEtcd(answer.text[:60].decode("ascii", "replace"))
    error = said.get("error")
    if isinstance(error, dict):  # of a stream; etcd 3.6 has `code`, and so has Debian's 3.5.16
        code = int(error.get("grpc_code") or error.get("code") or 2)
        return Refusal(code, str(error.get("message", "")))
    if error is not None:
        return Refusal(int(said.get("code", 2)), str(said.get("message") or error))
    if answer.status != 200:
        if type(said.get("code")) is int and isinstance(said.get("message"), str):  # of the latter
            return Refusal(said["code"], said["message"])
        raise NoEtcd(f"HTTP status {answer.status}")
    return said.get("result", said)
