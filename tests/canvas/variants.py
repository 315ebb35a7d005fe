"""The locks that a node of a canvas may have: scope, limit, policy, and when it is acknowledged."""

from __future__ import annotations

from collections.abc import Mapping
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


LISTS = ("several", "both")
"""Several locks: two keys at once; and a place in the queue beside the key of who runs."""

_FAMILIES = [*((scope, limit) for scope in SCOPES for limit in LIMITS), *((x, 1) for x in LISTS)]

VARIANTS = {
    f"{scope}-{limit}-{policy}": Variant(scope, limit, policy, number % 2 == 0)
    for scope, limit in _FAMILIES
    for number, policy in enumerate(POLICIES)
}


def template(scope: str, limit: int, key: str = "key") -> str:
    """Return the template that all locks of a scope and limit share: one key, many policies."""
    return f"{scope}-{limit}:{{spec[run]}}:{{spec[{key}]}}"


def lock_of(name: str) -> Lock | list[Lock]:
    """Return the lock of a variant."""
    variant = VARIANTS[name]
    policy, limit = POLICIES[variant.policy], variant.limit
    first = template(variant.scope, limit)
    if variant.scope == "several":
        second = template(variant.scope, limit, "other")
        return [Lock(first, on_conflict=policy), Lock(second, on_conflict=policy)]
    if variant.scope == "both":
        waits = Lock(first, scope=Scope.UNTIL_STARTED, on_conflict=policy)
        return [waits, Lock(first, on_conflict=policy)]
    return Lock(first, scope=variant.scope, limit=limit, on_conflict=policy)


def keys_of(node: Mapping[str, Any], run: str) -> list[str]:
    """Return the names that a node has in the store in a run."""
    if not node["variant"]:
        return []
    variant = VARIANTS[node["variant"]]
    first = f"{variant.scope}-{variant.limit}:{run}:{node['key']}"
    if variant.scope == "several":
        return [first, f"{variant.scope}-{variant.limit}:{run}:{node['other']}"]
    if variant.scope == "both":
        return [first, f"{first}%queued"]
    return [f"{first}%queued" if variant.scope == "until_started" else first]


def running_keys(node: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return what a node holds while its body runs: a name, and how many may have it."""
    if not node["variant"]:
        return []
    variant = VARIANTS[node["variant"]]
    keys = {node["key"], *([node["other"]] if variant.scope == "several" else [])}
    if variant.scope == "until_started":
        return []
    return [(f"{variant.scope}-{variant.limit}:{key}", variant.limit) for key in sorted(keys)]
