"""What one process knows of one node: how to reach it, since when it runs, what it has missed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from ...errors import StoreError, StoreUnavailable
from ...model.clock import monotonic
from ...model.lease import DRIFT
from ...model.mutex import new_mutex
from ..link.deadline_socket import DeadlineSocket
from ..redis.link.address import Address
from ..redis.link.connection import Connection
from ..redis.link.discovery import FixedAddress
from ..redis.link.errors import FAILURES, translated
from ..redis.link.info import facts_in
from ..redis.link.linking import Call
from ..redis.link.resp import Reply, command

__all__ = ["Node", "Opened"]

CONNECT = 0.5
"""Share of a call's deadline that a connection may take. More finds out later that a node is there
again."""
PAUSE = 0.25
"""Seconds after a failure before the node is tried again; a second after it came back it votes."""
MISSED = 1000
"""Calls that a node has missed and is to hear of as it comes back; the oldest are forgotten, and
what they would have ended ends by its ttl."""
PATIENCE = 0.02
"""Seconds, at least, that a node is waited for once a majority has answered."""


class Opened(NamedTuple):
    """A connection that was made, and when its node may vote."""

    connection: DeadlineSocket
    votes_from: float


class _Dialling(Connection):
    """A connection that is made, and used in another way then."""

    __slots__ = ()

    def hand_over(self) -> DeadlineSocket:
        """Return the open connection, which is the caller's alone from now on."""
        sock, self._socket, self._reader = self._socket, None, None
        assert sock is not None  # it has just answered
        return sock


class Node:
    """One node. Threads use it at the same time."""

    def __init__(self, address: Address, longest_ttl: float) -> None:
        self.address = address
        self.shown = address.shown
        self.place = address.shown.partition("://")[2].rpartition("/")[0]
        """Host and port, where the rest of the URL is said already."""
        self.error: Exception | None = None
        """Why there is no connection; `None`: the last one came about, or none was tried yet."""
        self.usual = 0.0
        """Seconds in which it answers as a rule."""
        self.run_id = ""
        """Which server answered last: each has another name, and another after a restart."""
        self.facts: dict[str, str] = {}
        """What the server said of itself last."""
        self.missed: deque[tuple[Call, float]] = deque(maxlen=MISSED)
        """What it is to hear of before anything else, each with its end."""
        self._longest_ttl = longest_ttl
        self._again_at = 0.0
        self._trying = 0
        self._guard = new_mutex()

    # -- connecting --------------------------------------------------------------------------

    def may_connect(self) -> bool:
        """A try makes sense now. One that has failed is tried by one at a time."""
        return self.error is None or (self._trying == 0 and monotonic() >= self._again_at)

    def connect(
        self, seconds: float, done: Callable[[Opened | None], None], same: Callable[[str], str]
    ) -> None:
        """Connect in a thread of its own, which ends within `seconds`, and hand the outcome over.

        A name, a handshake or a login can take its time, and no call is to wait for the slowest
        node. `same`: which other node has this run id, or an empty text.
        """
        with self._guard:
            self._trying += 1
        work = (seconds * CONNECT, done, same)
        thread = threading.Thread(
            target=self._connect, args=work, daemon=True, name="celery-lock redlock connection"
        )
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down
            self._connect(*work)

    def _connect(
        self, seconds: float, done: Callable[[Opened | None], None], same: Callable[[str], str]
    ) -> None:
        opened = None
        connection = _Dialling(FixedAddress(self.address))
        try:
            began = monotonic()
            reply = connection.exchange(command("INFO", "server"), began + seconds)
            votes_from = self._votes_from(reply)
            if other := same(self.run_id):
                raise StoreError(
                    f"{self.shown} and {other} are one server, and it has one vote: give"
                    " redlock:// the names of different servers"
                )
            opened = Opened(connection.hand_over(), votes_from)
            self.usual, self.error = monotonic() - began, None
        except FAILURES as error:
            self.failed(translated(error, self.address, seconds))
        except Exception as error:  # a wrong option too: it is raised where it is waited for
            self.failed(error)
        finally:
            if opened is None:
                connection.close()
            with self._guard:
                self._trying -= 1
            done(opened)

    def failed(self, error: Exception) -> None:
        """Hear why there is no connection, or no answer."""
        self.error, self._again_at = error, monotonic() + PAUSE

    # -- its age -----------------------------------------------------------------------------

    def _votes_from(self, reply: Reply) -> float:
        """Return when it may vote: it is older then than any lease that it may have forgotten."""
        facts = facts_in(reply)
        uptime = facts.get("uptime_in_seconds", "")
        if not uptime.isdecimal():
            raise StoreError(
                f"{self.shown} does not say for how long it has run (INFO server), so nobody knows"
                " whether it has lost leases in a restart: permit +info to the user of the locks"
            )
        self.facts, self.run_id = facts, facts.get("run_id", "")
        # whole seconds of both its ends: it may be younger by one
        return monotonic() - (int(uptime) - 1) + self._longest_ttl * (1 + DRIFT)

    def young(self, votes_from: float) -> StoreError:
        """Return the error that stands for the vote of a node that has just been restarted."""
        left = max(votes_from - monotonic(), 0.0)
        return StoreUnavailable(
            self.shown,
            f"it was started a short time ago, and votes in {left:.0f} s, when every lease that it"
            f" may have forgotten has ended (longest_ttl is {self._longest_ttl:g} s)",
        )

    # -- its answers -------------------------------------------------------------------------

    def answered(self, seconds: float) -> None:
        """Hear how long an answer took."""
        self.usual += (seconds - self.usual) / 8

    @property
    def patience(self) -> float:
        """Seconds that it is waited for once a majority has answered."""
        return max(PATIENCE, 4 * self.usual)

    def owing(self) -> list[tuple[Call, float]]:
        """Take out some of what it has missed, to be sent before anything else."""
        calls: list[tuple[Call, float]] = []
        now = monotonic()
        while self.missed and len(calls) < 20:
            try:
                call, until = self.missed.popleft()
            except IndexError:  # another thread has taken it
                break
            if until > now:
                calls.append((call, until))
        return calls
