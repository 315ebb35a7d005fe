"""What `lock_store_options` say to every kind of Redis: replicas, and a guard after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import LockConfigurationError
from ...model import Claim
from ...model.durations import seconds
from .link.address import CARE_OPTIONS
from .link.care import NAIVE, Care
from .link.guard import Guard
from .scripts import GUARD

__all__ = ["LONGEST_TTL", "care_of", "longest_of", "refuse_long"]

LONGEST_TTL = 60.0
"""Seconds that a lease lives at most without a renewal, where a guard waits for its end. Longer
allows longer leases, and gives no keys for longer after each restart."""


def care_of(options: Mapping[str, Any], prefix: str) -> tuple[Care, dict[str, Any]]:
    """Return how scripts are sent, and the options that are left.

    `prefix` is what the names of the store begin with. Raises `LockConfigurationError`.
    """
    rest = dict(options)
    replicas, guarded, longest = (rest.pop(name, None) for name in CARE_OPTIONS)
    if replicas is None:
        replicas = 0
    if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
        raise LockConfigurationError(
            f"lock_store_options: replicas={replicas!r} is no number of replicas; 1 means that one"
            " has to have each lease before it is given"
        )
    if guarded not in (None, True, False):
        raise LockConfigurationError(
            f"lock_store_options: restart_guard={guarded!r} is neither True nor False"
        )
    if longest is not None and not guarded:
        raise LockConfigurationError(
            "lock_store_options: longest_ttl is what restart_guard waits for: set restart_guard to"
            " True as well, or leave it out"
        )
    if not (replicas or guarded):
        return NAIVE, rest
    guard = None
    if guarded:
        longest_ttl = LONGEST_TTL if longest is None else longest_of(longest)
        guard = Guard(longest_ttl, GUARD, prefix)
    return Care(replicas=replicas, guard=guard), rest


def longest_of(longest: Any) -> float:
    """Return the seconds of a `longest_ttl`; raise `LockConfigurationError` for what is no time."""
    try:
        return seconds(longest, "longest_ttl")
    except LockConfigurationError as error:
        raise LockConfigurationError(
            f"lock_store_options: {error}; it is the longest ttl of all locks"
        ) from None


def refuse_long(claim: Claim, longest: float) -> None:
    """Raise `LockConfigurationError` for a claim whose lease could outlive the guard's wait.

    A publisher's lease is only kept: nobody believes in it, so nothing waits for its end.
    """
    if claim.ttl > longest and not claim.unconfirmed:
        raise LockConfigurationError(
            f"the ttl of {claim.key!r} is {claim.ttl:g} s, and longest_ttl is {longest:g} s, for"
            " which the store gives no keys after a restart (restart_guard): set longest_ttl in"
            " lock_store_options to the longest ttl that there is, or give the lock a shorter one"
        )
