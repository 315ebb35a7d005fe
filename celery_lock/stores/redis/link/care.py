"""What is asked of a server beyond its word: replicas that have it too, and an age."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ....errors import StoreUnavailable
from ....model.clock import monotonic
from .connection import UNANSWERED, Connection
from .guard import Guard
from .resp import ErrorReply, Reply, command
from .script import Script

__all__ = ["NAIVE", "SHARE", "Care", "TooFewReplicas", "Unacknowledged"]

SHARE = 0.5
"""The part of a call's time in which replicas acknowledge. The rest is for taking a claim back."""

_ASKING = command("ASKING")


class TooFewReplicas(Exception):
    """Fewer replicas have what was written than were asked for."""


class Unacknowledged(StoreUnavailable):
    """It was executed, and too few replicas have it: a fail-over may forget it."""


@dataclass(frozen=True)
class Care:
    """How a script is sent."""

    replicas: int = 0
    """How many must have what a script wrote which is to last."""
    guard: Guard | None = None
    """Keeps claims from a server that may have forgotten leases."""

    @property
    def permissions(self) -> str:
        """What a user must be permitted for it besides, as an ACL rule has it."""
        return " +wait" if self.replicas else ""

    def wants(self, script: Script) -> bool:
        """Whether more is sent than the script."""
        return bool(self.replicas and script.lasts) or (self.guard is not None and script.grants)

    def exchange(
        self,
        connection: Connection,
        script: Script,
        packed: bytes,
        ends: float,
        *,
        asking: bool = False,
    ) -> Reply:
        """Send a script with what is asked beside it, and return its reply."""
        commands = [_ASKING, packed] if asking else [packed]
        *_, reply = self.each(
            connection,
            commands,
            ends,
            lasts=script.lasts,
            claims=script.grants,
            refused=script.refused,
        )
        if isinstance(reply, Exception):
            raise reply
        return reply

    def each(
        self,
        connection: Connection,
        commands: Sequence[bytes],
        ends: float,
        *,
        lasts: bool,
        claims: bool,
        refused: Callable[[Reply], bool] | None = None,
    ) -> Sequence[Reply | Exception]:
        """Send commands in one piece; return for each its reply, or the error that it ended with.

        Where the connection has died all are sent once more: a new one knows nothing of what the
        old one wrote, so replicas would seem to have it.
        """
        waits = self.waits(ends) if lasts else []
        piece = [*commands, *waits]
        failure: Exception | None = None
        for _ in range(2):
            outcomes: list[Reply | Exception] = []
            try:
                connection.begin(b"".join(piece), ends, len(piece), claims=claims)
                failure = connection.collect(outcomes)
            except (ErrorReply, *UNANSWERED) as error:
                failure = error
            if failure is None:
                return self.acknowledged(outcomes, connection, refused) if waits else outcomes
            if not isinstance(failure, UNANSWERED[0]):
                break
        return [failure] * len(commands)

    def waits(self, ends: float) -> list[bytes]:
        """Return what is sent behind scripts that are to last."""
        if not self.replicas:
            return []
        seconds = SHARE * (ends - monotonic())
        return [command("WAIT", self.replicas, max(1, int(1000 * seconds)))]

    def acknowledged(
        self,
        outcomes: Sequence[Reply | Exception],
        connection: Connection,
        refused: Callable[[Reply], bool] | None = None,
    ) -> list[Reply | Exception]:
        """Return the replies of scripts with one to `waits` behind them: errors, if that is bad.

        `refused`: which replies stand all the same, for they have nothing that is to last.
        """
        *replies, last = outcomes
        if isinstance(last, int):
            if last >= self.replicas:
                return replies
            connection.suspect()  # the replicas may follow another primary by now
            last = TooFewReplicas(last, self.replicas)
        error = last if isinstance(last, Exception) else TooFewReplicas(0, self.replicas)
        return [
            reply
            if isinstance(reply, Exception) or (refused is not None and refused(reply))
            else error
            for reply in replies
        ]


NAIVE = Care()
"""Nothing more is asked than the scripts."""
