"""The rows of the matrix for publishers' leases and for permits, as data."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["QUEUE_TTL", "SCOPES", "ScopeRow", "scope_rows"]

SCOPES = ("until_started", "until_finished")
TTL = 2.0
QUEUE_TTL = 6.0
"""Seconds: a key that nobody can free is free when they have passed."""


@dataclass(frozen=True)
class ScopeRow:
    """One fault, and what may come of it."""

    what: str
    scope: str
    acks: str = "late"
    broker: str = "redis"
    limit: int = 1
    may_lose: int = 0
    """Messages that a plain task loses too: acknowledged before the fault, or purged."""
    seen: bool = True
    """Somebody sees the end; `False`: the key stays taken until its `queue_ttl` has passed."""

    @property
    def name(self) -> str:
        """As it is printed, and chosen by words."""
        return f"scopes: {self.what}, {self.scope}, acks {self.acks}"


_BOTH_ACKS = (
    "its child is killed before it adopts",
    "its child is killed after it has adopted",
    "its child is killed in the body",
    "the worker is killed before it adopts",
    "the worker is killed after it has adopted",
    "the worker is killed in the body",
)
_LATE = (
    "the publisher is killed before it sends",
    "the publisher is killed before it confirms",
    "revoked while it is queued",
    "expired while it is queued",
    "the queue is purged, and its leases are released by hand",
    "the visibility timeout passes while it is queued",
    "the store is down as it is published, requeue",
    "the store is down as it is published, run",
    "the store is down as it is published, fail",
    "sent by name",
    "sent by the release before",
    "half of the workers are of the release before",
    "its worker has no lock for it",
)
_ON_RABBIT = (
    "the connection is lost while it is queued",
    "the connection is lost in the body",
    "dead-lettered and returned",
)
_OF_PERMITS = (
    "the visibility timeout passes in the body",
    "its child is killed in the body",
    "the worker is killed in the body",
    "a deploy lowers the limit",
    "a deploy raises the limit",
)


def scope_rows() -> list[ScopeRow]:
    """Return all of them."""
    found = []
    for scope in SCOPES:
        for what in _BOTH_ACKS:
            if scope == "until_started" and "adopted" in what:
                continue  # it frees its place, and has nothing then
            for acks in ("early", "late"):
                early = acks == "early"
                # nobody is left who could say it: the main process is gone, and the message
                unseen = early and "the worker" in what
                found.append(ScopeRow(what, scope, acks, may_lose=int(early), seen=not unseen))
        found += [ScopeRow(what, scope) for what in _LATE]
        found.append(ScopeRow("the queue is purged", scope, may_lose=1, seen=False))
        found += [ScopeRow(what, scope, broker="rabbit") for what in _ON_RABBIT]
        found.append(ScopeRow("SQS delivers it twice", scope, broker="sqs"))
    found += [ScopeRow(what, "limit=3", limit=3) for what in _OF_PERMITS]
    return found
