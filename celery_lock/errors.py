"""What can go wrong, said with what was wrong, what is known and what to do.

Every error is an `Exception` (a `BaseException` wedges a threads pool and stops a solo worker)
and pickles with its arguments, since it crosses the pipe of a prefork pool and a result backend.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "LeaseLost",
    "LockConfigurationError",
    "LockConflict",
    "LockError",
    "LockWaitTimeout",
    "StoreError",
    "StoreUnavailable",
    "UnsupportedFeature",
    "did_you_mean",
    "duration",
    "enumeration",
    "span",
    "taken",
]

_NAMED = 5
"""How many holders are named in a message at most: a key may have 256 permits."""


class LockError(Exception):
    """Anything that this package raises."""


class LockConfigurationError(LockError):
    """A declaration or a setting is wrong. Raised at import, at bind or as a worker starts."""


class UnsupportedFeature(LockConfigurationError):
    """The chosen store cannot do what a lock asks for. The message names the stores that can."""

    def __init__(
        self, feature: str, needed_by: str, store: str, stores: tuple[str, ...] = ()
    ) -> None:
        """`feature` is one word of `celery_lock.model.Feature`, `store` the URL of the one that
        lacks it; `stores` are the beginnings of the URLs of those that have it."""
        super().__init__(feature, needed_by, store, stores)
        self.feature = feature
        self.needed_by = needed_by
        self.store = store
        self.stores = stores

    def __str__(self) -> str:
        others = f"; these have it: {', '.join(self.stores)}" if self.stores else ""
        return (
            f"{self.needed_by} needs a store with the feature {self.feature!r}, which {self.store}"
            f" has not{others}"
        )


class LockConflict(LockError):
    """The key is taken, and the policy was `fail()`."""

    def __init__(
        self,
        key: str,
        holder: str | None = None,
        expires_in: float | None = None,
        state: str = "held",
        holders: Iterable[str] = (),
    ) -> None:
        """`key` is what was asked for, `holder` who has it, `expires_in` the seconds after which
        the key is free if its lease is not renewed (`None`: not known, or not any more).

        `state` is what keeps the key taken, in one word: `held`; `at_least`, when `holder` had it
        last; `queued`, when it is kept for the message of `holder`, which no worker has begun
        yet; `retry`, when it is kept for one of `holder`; or `unconfirmed`, when the message of
        `holder` is being sent, which only a `hold()` meets.

        `holders` are all who have a permit, where the key has several; `holder` is the one whose
        permit comes free first."""
        several = tuple(holders)
        several = several if len(several) > 1 else ()
        known: list[Any] = [expires_in, state, several]
        for usual in ((), "held", None):
            if known[-1] != usual:
                break
            known.pop()
        super().__init__(key, holder, *known)
        self.key = key
        self.holder = holder
        self.expires_in = expires_in
        self.state = state
        self.holders = several or (() if holder is None else (holder,))

    def __str__(self) -> str:
        who = self.holder or "somebody who has left since"
        said = taken(self.state, who, self.expires_in, holders=self.holders)
        return f"lock {self.key!r} is {said}"


class LockWaitTimeout(LockConflict):
    """The key stayed taken for as long as the policy was ready to wait or to try again."""

    def __str__(self) -> str:
        return f"gave up waiting: {super().__str__()}"


class LeaseLost(LockError):
    """The lease ended under the running body: somebody else may have the key by now."""

    def __init__(self, key: str, reason: str, by: str | None = None) -> None:
        """`reason` is one word of `celery_lock.model.LossReason`, `by` who caused it, if known:
        the task that has the key now, or who has released it by hand."""
        super().__init__(key, reason, by)
        self.key = key
        self.reason = reason
        self.by = by

    def __str__(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return f"the lease of {self.key!r} is lost ({self.reason}{by})"


class StoreError(LockError):
    """The store answered, and refused: a wrong password, a missing permission, garbage."""

    asked = True
    """`False`: the store was not asked at all, for a moment before it has given no answer."""


class StoreUnavailable(StoreError):
    """The store gave no answer in time, or said that it cannot serve at the moment."""

    def __init__(self, url: str, cause: str) -> None:
        """`url` comes without its password, `cause` is one sentence."""
        super().__init__(url, cause)
        self.url = url
        self.cause = cause

    def __str__(self) -> str:
        return f"the lock store {self.url} is not available: {self.cause}"


def taken(
    state: str, who: str, expires_in: float | None = None, *, holders: Sequence[str] = ()
) -> str:
    """Say what keeps a key taken: see `LockConflict` for the states.

    `holders`: all who have a permit of it.
    """
    if len(holders) > 1:
        return f"taken {len(holders)} times, by {enumeration(holders)}"
    if state == "at_least":
        left = "" if expires_in is None else f" for {span(expires_in)} more"
        return f"kept taken by at_least{left}; its last holder was {who}"
    if state == "unconfirmed":
        return f"taken for {who}, a message that is being sent"
    if state == "queued":
        return f"kept for {who}, which is queued"
    if state == "retry":
        return f"kept for a retry of {who}"
    return f"held by {who}"


def enumeration(names: Sequence[str], most: int = _NAMED) -> str:
    """Write names one after the other, so many at most: a, b, c and 7 more."""
    if len(names) == 1:
        return names[0]
    more = len(names) - most
    shown, last = (names[:most], f"{more} more") if more > 0 else (names[:-1], names[-1])
    return f"{', '.join(shown)} and {last}"


def span(seconds: float) -> str:
    """Write seconds as a duration that people grasp."""
    if not math.isfinite(seconds):
        return f"{seconds} s"
    if seconds < 119.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} day{'s' if days > 1 else ''}" + (f" {hours} h" if hours else "")
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def duration(seconds: float) -> str:
    """Write a duration that somebody chose, and not one that was measured: 45 s, 15 min 00 s."""
    return f"{seconds:g} s" if seconds < 120 else span(seconds)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `" (did you mean 'ttl'?)"`, or nothing where no known name is close."""
    close: Any = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
