"""The locks that a node of a canvas may have: scope, limit, policy, and when it is acknowledged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery_lock import Lock, Scope, constant, exponential, fail, requeue, skip, wait

SOON = exponential(first=0.05, cap=0.3)

POLICIES: dict[str, Any] = {
    "requeue": requeue(SOON),
    "twice": requeue(constant(0.1), max_attempts=2, then=skip()),
    "thrice": requeue(constant(0.05), max_attempts=3),
    "wait": wait(0.5, then=requeue(SOON)),
    "awhile": wait(0.2),
    "skip": skip(),
    "value": skip(result=7),
    "fail": fail(),
    "asks": lambda c: requeue(constant(0.1)) if c.attempt < 3 else skip(),
}

SCOPES = ("while_running", "across_retries", "until_started", "until_finished")
LIMITS = (1, 2)


@dataclass(frozen=True)
class Variant:
    """One declaration of a lock."""

    scope: str
    limit: int
    policy: str
    acks_late: bool


VARIANTS = {
    f"{scope}-{limit}-{policy}": Variant(scope, limit, policy, number % 2 == 0)
    for scope in SCOPES
    for limit in LIMITS
    for number, policy in enumerate(POLICIES)
}


def template(scope: str, limit: int) -> str:
    """Return the template that all locks of a scope and limit share: one key, many policies."""
    return f"{scope}-{limit}:{{spec[run]}}:{{spec[key]}}"


def lock_of(name: str) -> Lock | None:
    """Return the lock of a variant; `None`: this version has no such."""
    variant = VARIANTS[name]
    options: dict[str, Any] = {"scope": variant.scope, "on_conflict": POLICIES[variant.policy]}
    if variant.scope not in [one.value for one in Scope]:
        return None
    if variant.limit != 1:
        if "limit" not in Lock.__dataclass_fields__:
            return None
        options["limit"] = variant.limit
    return Lock(template(variant.scope, variant.limit), **options)


def keys_of(name: str, run: str, key: str) -> list[str]:
    """Return the names that a variant has in the store for a key of a run."""
    if not name:
        return []
    variant = VARIANTS[name]
    queued = "%queued" if variant.scope == "until_started" else ""
    return [f"{variant.scope}-{variant.limit}:{run}:{key}{queued}"]


def known() -> list[str]:
    """Return the names of those that this version has."""
    return [name for name in VARIANTS if lock_of(name) is not None]
