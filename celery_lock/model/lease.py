"""The proof of holding a key, and how long the holder may believe in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from ..errors import LeaseLost, LockError, UnsupportedFeature
from .clock import Clock, steady
from .per_process import this_process

__all__ = ["DRIFT", "MARGIN", "Lease", "LossReason", "ttl_to_ask"]

LossReason = Literal["expired", "taken", "at_most", "released"]
"""Why a lease ended: its time ran out unrenewed; the store said that it is not ours any more
(deleted, or given to somebody else); the ceiling of the lock was reached; or it was given back,
which is no loss, but a thread that the body left behind must not go on believing in it."""

DRIFT = 0.01
"""How much slower than the store's clock the holder's may run: 1 %, as redsync and node-redlock."""
MARGIN = 0.002
"""Seconds taken off each lease besides: a store counts in milliseconds."""


class Lease:
    """The proof of holding a key, for a time.

    A body reads it as `self.lease`: `key`, `holder`, `token`, `lost`, `check()`, `remaining()`.
    `token` is the fencing token: it grows with every new lease of the key, so that a resource
    which remembers the highest one it saw can refuse a holder that was paused past its lease.

    `lost` is read from this machine's own clock: it is true from the deadline on, whatever the
    network does, and never becomes false again.

    Any thread of the body's process may use it. A process that the body forked has a copy that
    nobody renews: there `lost`, `check()` and `remaining()` raise `LockError`.
    """

    __slots__ = (
        "_by",
        "_ceiling",
        "_clock",
        "_deadline",
        "_home",
        "_no_token",
        "_reason",
        "_token",
        "holder",
        "key",
        "proof",
        "slot",
    )

    def __init__(
        self,
        key: str,
        holder: str,
        token: int | None,
        *,
        slot: int = 0,
        proof: str = "",
        no_token: Callable[[str], UnsupportedFeature] | None = None,
    ) -> None:
        """A store makes it, and says with what it can be proven.

        Args:
            key: what is held.
            holder: by whom.
            token: the fencing token; `None` where the store has none.
            slot: which of the permits of the key, from 0; below the limit of the lock.
            proof: what the store wants to see again at a renewal and a release, where holder and
                token are not enough; nobody else reads it.
            no_token: makes the error for who asks for the token where the store has none.
        """
        self.key = key
        self.holder = holder
        self.slot = slot
        self.proof = proof
        self._token = token
        self._no_token = no_token
        self._clock: Clock = steady
        self._deadline = math.inf
        self._ceiling = math.inf
        self._home: object = None
        self._reason: LossReason | None = None
        self._by: str | None = None

    def __repr__(self) -> str:
        left = max(0.0, self._deadline - self._clock())
        state = "lost" if self.reason else f"{left:.1f} s left"
        return f"<Lease {self.key!r} token {self._token}, {state}>"

    # -- for the body ------------------------------------------------------------------------

    @property
    def token(self) -> int:
        """The fencing token; with several permits one of its slot.

        Raises `UnsupportedFeature` where the store has none.
        """
        if self._token is None:
            needed_by = f"lease.token of lock {self.key!r}"
            if self._no_token is not None:
                raise self._no_token(needed_by)
            raise UnsupportedFeature("fencing", needed_by, "its own")
        return self._token

    @property
    def lost(self) -> bool:
        """The lease has ended: somebody else may have the key by now."""
        self._must_be_at_home()
        return self.reason is not None

    def check(self) -> None:
        """Raise `LeaseLost` if the lease has ended. Costs a look at the clock, no network.

        Call it before each step that must not happen twice. It cannot help a body that is
        paused between the check and the step: there only the fencing token does.
        """
        self._must_be_at_home()
        reason = self.reason
        if reason is not None:
            raise LeaseLost(self.key, reason, self._by)

    def remaining(self) -> float:
        """Seconds until the lease ends if no renewal succeeds from now on; 0 once lost."""
        self._must_be_at_home()
        if self._reason is not None:
            return 0.0
        return max(0.0, self._deadline - self._clock())

    def _must_be_at_home(self) -> None:
        if self._home is not this_process.value and self._home is not None:
            raise LockError(
                f"the lease of {self.key!r} is renewed in the process that took it, and this one"
                " was forked from it: here nobody knows whether it is lost. Let that process look"
                " at lease.lost and end this one; lease.key and lease.token may be used here"
            )

    def __reduce__(self) -> Any:
        raise LockError(
            f"the lease of {self.key!r} cannot be copied or sent to another process: it is renewed"
            " in the one that took it. Send lease.key and lease.token; a thread may have the lease"
            " itself"
        )

    # -- for the engine ----------------------------------------------------------------------

    @property
    def known_token(self) -> int | None:
        """The token, `None` where the store has none: for reports of any lease."""
        return self._token

    @property
    def is_at_home(self) -> bool:
        """It is renewed in this process, and not in the one that this was forked from."""
        return self._home is this_process.value

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
    def by(self) -> str | None:
        """Who caused the loss; `None`: that is not known, or there is none."""
        return self._by

    @property
    def deadline(self) -> float:
        """When it ends, by its clock."""
        return self._deadline

    def arm(self, clock: Clock, sent: float, ttl: float, at_most: float | None = None) -> float:
        """Start the lease's time: it was asked for at `sent`, for `ttl` seconds.

        Returns its deadline.
        """
        self._clock, self._home = clock, this_process.value
        if at_most is not None:
            self._ceiling = sent + at_most
        self._deadline = deadline = self._until(sent, ttl)
        return deadline

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
        """End the lease; `True` for the call that did, so that one fact is reported."""
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
