"""The connection of one process: requests are sent at once and answered within a deadline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from socket import SHUT_RDWR
from threading import Condition
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import (
    AuthFailedError,
    ConnectionClosedError,
    ConnectionLoss,
    SessionExpiredError,
)
from kazoo.protocol.serialization import Exists
from kazoo.protocol.states import KazooState, KeeperState
from kazoo.retry import KazooRetry

from ...errors import StoreError, StoreUnavailable
from ...model.clock import monotonic
from ...model.mutex import new_mutex
from ..link.urls import written
from .address import Address
from .hearing import Hearing, Hears, handler
from .refusals import denied, hopeless, unreachable

__all__ = ["Broken", "Link"]

_LOST = (ConnectionLoss, SessionExpiredError, ConnectionClosedError)
NUDGE = 0.25
"""Seconds after which a server that has not answered is asked something else. Those of ZooKeeper
3.8.0 leave one request of ten thousands lying until the next one comes, which is kazoo's ping else,
after some seconds."""

_SILENT = logging.Logger("kazoo", logging.CRITICAL + 1)
"""What kazoo logs for itself at each try. That a store fails is logged by the engine, in bounds."""


class Broken(Exception):
    """The connection broke while an answer was awaited: what was asked may have been done."""


class Link(Hears):
    """One session with one of the servers, made at the first use, and again where it has ended.

    All threads of the process share it; so kazoo's three threads are all that it has.
    """

    def __init__(self, address: Address, deadline: float) -> None:
        self._address = address
        self._deadline = deadline
        self._guard = new_mutex()
        self._mutex = new_mutex()
        self._changed = Condition(self._mutex)
        self._client: Any = None
        self._live: Any = None
        self._rounds = 0
        self._failed: tuple[list[OSError], int] = ([], 0)
        self._closed = self._denied = False
        self._heard = self._nudged = monotonic()
        self.sessions = 0
        """How often a connection has come about: what was known before may be of another leader."""

    # -- asking ------------------------------------------------------------------------------

    def ask(self, requests: Sequence[Any], ends: float) -> list[Any]:
        """Send requests in this order, and return the answer to each: a value or an exception.

        Raises `Broken` where the connection broke meanwhile, `StoreError` where there was none to
        be had before `ends`, or no answer.
        """
        client = self._connected(ends)
        awaited = []
        for request in requests:
            result = client.handler.async_result()
            client._call(request, result)  # kazoo has no public name for it
            awaited.append(result)
        last = awaited[-1]
        self._await(client, last, ends)
        if not last.ready():
            raise StoreUnavailable(
                self._address.shown, f"it gave no answer within {self._deadline:.3g} s"
            )
        answers = [
            result.value if result.exception is None else result.exception for result in awaited
        ]
        for answer in answers:
            if isinstance(answer, _LOST):
                raise Broken from answer
            if isinstance(answer, AuthFailedError):
                raise denied(self._address) from answer
        self._heard = monotonic()
        return answers

    def _await(self, client: Any, last: Any, ends: float) -> None:
        """Wait for the last answer, and help a server that has forgotten it."""
        sent = monotonic()
        half, left = (ends - sent) / 2, ends - sent
        while left > 0:
            last.wait(min(left, NUDGE))
            if last.ready():
                return
            now = monotonic()
            # one for all that wait: many would keep a slow server from what it has to do
            if now - max(sent, self._heard, self._nudged) > NUDGE - 0.01:
                self._nudged = now
                client._call(Exists("/", None), client.handler.async_result())
            left = ends - now
            if len(self._address.hosts) > 1 and left < half and self._heard < sent:
                self._leave(client)  # another server may be in better health
                half = 0.0

    def begin(self, request: Any, heard: Callable[[Any], object]) -> None:
        """Send a request that nobody waits for; `heard` is called in kazoo's thread, if ever."""
        client = self._client
        if client is not None and client.connected:
            result = client.handler.async_result()
            result.rawlink(lambda one: one.exception is None and heard(one.value))
            client._call(request, result)

    def say(self, word: bytes, ends: float) -> str:
        """Return the answer of the server to a four-letter word."""
        client = self._connected(ends)
        said: str = client.command(word)
        return said

    def close(self) -> None:
        """End the session, if there is one, and make no other."""
        with self._guard:
            client, self._closed = self._client, True
        if client is not None:
            self._drop(client).join(min(self._deadline, 1.0))
            self._leave(client)  # a server that hangs would keep it, and whoever waits for it

    # -- connecting --------------------------------------------------------------------------

    def reach(self, ends: float) -> None:
        """Wait until there is a connection. Raises `StoreError` as `ask` does."""
        self._connected(ends)

    def _connected(self, ends: float) -> Any:
        """Return a client that is connected now."""
        client = self._started()
        if client.connected:
            return client
        with self._mutex:
            first = self._rounds
            while not client.connected:
                errors, reached = self._failed
                # while a server takes connections an election may be under way
                over = self._rounds >= first + 2 and not reached and hopeless(errors)
                left = ends - monotonic()
                if left <= 0 or over:
                    raise unreachable(self._address, errors, reached, self._deadline)
                if client is not self._client:
                    raise self._given_up()
                client.handler.wanted.set()
                self._changed.wait(left)
        return client

    def _given_up(self) -> StoreError:
        if self._denied:
            return denied(self._address)
        return StoreUnavailable(
            self._address.shown, "its connection ended; the next call tries again"
        )

    def _started(self) -> Any:
        client = self._client
        if client is not None:
            return client
        with self._guard:
            if self._closed:  # the store has another link by now: nobody would close this one
                raise StoreUnavailable(self._address.shown, "it was closed during the call")
            if self._client is None:
                self._client = self._made()
            return self._client

    def _made(self) -> Any:
        address, hosts = self._address, self._address.hosts
        patience = max(self._deadline / (len(hosts) + 1), 0.1)
        kind = handler(self, patience)
        client = KazooClient(
            ",".join(written(*host) for host in hosts),
            # the servers make it two of their ticks at least; no entry of ours depends on it
            timeout=min(max(self._deadline, 1.0), 10.0),
            handler=kind,
            auth_data={("digest", address.login)} if address.login else None,
            connection_retry=KazooRetry(
                max_tries=-1, delay=0.1, backoff=1, max_jitter=0.0, sleep_func=kind.sleep_func
            ),
            logger=_SILENT,
            use_ssl=address.tls is not None,
            **(address.tls or {}),
        )
        client.add_listener(lambda state: self._turned(client, state))
        try:
            client.start_async()
        except OSError as error:  # it needs sockets of its own, to wake its threads by
            if error.errno is None:  # a signal handler's
                raise
            raise StoreUnavailable(address.shown, f"no session came about ({error})") from error
        return client

    def _leave(self, client: Any) -> None:
        """Break a connection on which nothing is heard: kazoo makes one to the next server."""
        with suppress(Exception):
            client._connection._socket.shutdown(SHUT_RDWR)

    def _drop(self, client: Any) -> Any:
        with self._guard:
            if self._client is client:
                self._client = None

        def stop() -> None:
            with suppress(Exception):
                client.stop()
                client.close()

        stopping = client.handler.aside(stop)
        client.handler.wanted.set()
        return stopping

    # -- what kazoo's thread says ------------------------------------------------------------

    def _turned(self, client: Any, state: str) -> None:
        with self._mutex:
            self._denied = client.client_state == KeeperState.AUTH_FAILED
            if state == KazooState.CONNECTED:
                self.sessions += 1
                self._failed = ([], 0)
                client.handler.forget_errors()  # they are of an outage that is over
            self._changed.notify_all()

    def round_failed(self, errors: list[OSError], reached: int) -> None:
        """Let those that wait know, and ask less of the servers from now on."""
        client = self._client
        if client is not None:
            # a server that lost its data, or was set back, knows nothing of what we have seen:
            # it would be refused for ever. No decision is made on what was not synced
            client.last_zxid = 0
        with self._mutex:
            self._rounds += 1
            self._failed = (errors, reached)
            self._changed.notify_all()

    def ended(self, handler: Hearing) -> None:
        """The client is of no use any more: another one has to be made."""
        client = self._client
        if client is not None and client.handler is handler:
            self._drop(client)
        with self._mutex:
            self._changed.notify_all()
