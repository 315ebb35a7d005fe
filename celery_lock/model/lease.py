"""A wish for a key, the proof of holding it, and the answer that somebody else does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import LeaseLost
from .clock import Clock, steady
from .holder import task_id_of

__all__ = ["DRIFT", "MARGIN", "Claim", "End", "Held", "Lease", "LossReason", "ttl_to_ask"]

LossReason = Literal["expired", "taken", "at_most", "released"]
"""Why a lease ended: its time ran out unrenewed; the store said that it is not ours any more
(deleted, or given to somebody else); the ceiling of the lock was reached; or it was given back,
which is no loss, but a thread that the body left behind must not go on believing in it."""

DRIFT = 0.01
"""How much slower than the store's clock the holder's may run: 1 %, as redsync and node-redlock."""
MARGIN = 0.002
"""Seconds taken off each lease besides: a store counts in milliseconds."""


@dataclass(frozen=True)
class Claim:
    """One holder's wish for a key."""

    key: str
    holder: str
    ttl: float
    """Seconds that an unrenewed lease lives."""
    at_least: float = 0.0
    """Seconds that other tasks are kept out, from the acquire on, however the holder ends."""
    publication: str = ""
    """The act of publishing that brought this message: a redelivered copy has the same one."""
    watching: bool = False
    """The claimant will `watch` the key if it is taken."""
    copy_since: float | None = None
    """The message may be a copy: refuse it if its publication was completed, as recorded by a
    release, at this time or later (seconds since 1970 by the store's clock). `None`: it is
    delivered for the first time, and can be none."""
    heir_of: str = ""
    """The holder that an earlier attempt left the key to: its lease is taken over."""

    @property
    def task_id(self) -> str:
        """The task that asks; `at_least` never stands in the way of the one that set it."""
        return task_id_of(self.holder)


@dataclass(frozen=True)
class Held:
    """The answer to a claim: somebody else has the key."""

    key: str
    holder: str
    """Who has it, or who had it last while `at_least` keeps it taken."""
    since: float
    """When that holder took it, in seconds since 1970 by the store's clock."""
    now: float
    """The store's clock at the answer."""
    expires_in: float
    """Seconds until the key is free unless a renewal comes."""
    live: bool = True
    """There is a lease; `False`: it has ended and only `at_least` keeps the key taken."""
    publication: str = ""
    """The holder's own."""
    token: int = 0
    """Of the holder's lease."""
    done: bool = False
    """The claim is a copy: its publication has been completed."""
    result_due: bool = False
    """With `done`: its result was still to be stored then."""


@dataclass(frozen=True)
class End:
    """What a release does besides, in the same step."""

    publication: str = ""
    """Record that this publication was completed; a copy of it is refused from now on."""
    remember: float = 0.0
    """Seconds for which: longer than a copy may be on its way, some 200 bytes each."""
    result_due: bool = False
    """Its result is stored only after the release: a copy should look whether that happened."""
    heir: str = ""
    """The holder that the key is left to, instead of being free."""
    keep: float = 0.0
    """Seconds that the heir has to come."""


class Lease:
    """The proof of holding a key, for a time.

    A body reads it as `self.lease`: `key`, `holder`, `token`, `lost`, `check()`, `remaining()`.
    `token` is the fencing token: it grows with every new lease of the key, so that a resource
    which remembers the highest one it saw can refuse a holder that was paused past its lease.

    `lost` is read from this machine's own clock: it is true from the deadline on, whatever the
    network does, and never becomes false again.
    """

    __slots__ = ("_by", "_ceiling", "_clock", "_deadline", "_reason", "holder", "key", "token")

    def __init__(self, key: str, holder: str, token: int) -> None:
        self.key = key
        self.holder = holder
        self.token = token
        self._clock: Clock = steady
        self._deadline = math.inf
        self._ceiling = math.inf
        self._reason: LossReason | None = None
        self._by: str | None = None

    def __repr__(self) -> str:
        state = "lost" if self.lost else f"{self.remaining():.1f} s left"
        return f"<Lease {self.key!r} token {self.token}, {state}>"

    # -- for the body ------------------------------------------------------------------------

    @property
    def lost(self) -> bool:
        """The lease has ended: somebody else may have the key by now."""
        return self.reason is not None

    def check(self) -> None:
        """Raise `LeaseLost` if the lease has ended. Costs a look at the clock, no network.

        Call it before each step that must not happen twice. It cannot help a body that is
        paused between the check and the step: there only the fencing token does.
        """
        reason = self.reason
        if reason is not None:
            raise LeaseLost(self.key, reason, self._by)

    def remaining(self) -> float:
        """Seconds until the lease ends if no renewal succeeds from now on; 0 once lost."""
        if self._reason is not None:
            return 0.0
        return max(0.0, self._deadline - self._clock())

    # -- for the engine ----------------------------------------------------------------------

    @property
    def reason(self) -> LossReason | None:
        """Why it was lost; `None` while it is held."""
        return self._reason or self.reason_at(self._clock())

    def reason_at(self, now: float) -> LossReason | None:
        """Why it was lost, for a caller that has just looked at the lease's clock."""
        if self._reason is None and now >= self._deadline:
            return "at_most" if self._deadline >= self._ceiling else "expired"
        return self._reason

    @property
    def deadline(self) -> float:
        """When it ends, by its clock."""
        return self._deadline

    def arm(self, clock: Clock, sent: float, ttl: float, at_most: float | None = None) -> None:
        """Start the lease's time: it was asked for at `sent`, for `ttl` seconds."""
        self._clock = clock
        if at_most is not None:
            self._ceiling = sent + at_most
        self._deadline = self._until(sent, ttl)

    def wanted(self, now: float, ttl: float) -> float:
        """For how many seconds to ask: `ttl`, but not past the ceiling; 0 when it is reached."""
        return ttl_to_ask(ttl, self._ceiling - now)

    def extend(self, sent: float, ttl: float) -> bool:
        """Move the deadline after a renewal; `False`: the answer came after the old one.

        The store may have given the key away in between, so a lease that has ended here is
        never revived, even if the store still knew it.
        """
        if self.reason is not None:
            return False
        self._deadline = self._until(sent, ttl)
        return True

    def lose(self, reason: LossReason, by: str | None = None) -> bool:
        """End the lease; `True` for the call that did, so that one fact is told."""
        if self._reason is not None:
            return False
        self._reason, self._by = reason, by
        return True

    def _until(self, sent: float, ttl: float) -> float:
        deadline = sent + ttl * (1 - DRIFT) - MARGIN
        # a rounding below the ceiling would tell the wrong reason
        return self._ceiling if deadline > self._ceiling - 1e-6 else deadline


def ttl_to_ask(ttl: float, left: float) -> float:
    """Return the ttl for a lease that must end here in `left` seconds at the latest.

    What the holder takes off for drift is added, so that its own deadline is the ceiling.
    """
    return max(0.0, min(ttl, (left + MARGIN) / (1 - DRIFT)))
