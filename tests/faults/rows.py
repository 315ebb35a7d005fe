"""The rows of the matrix as data: pool x acks x ending, and which of them cannot be, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from celery import Task

from tests.services.worker import Pool

__all__ = ["ACKS", "ENDINGS", "POOLS", "Acks", "Ending", "Row", "rows", "why_not"]

POOLS: tuple[Pool, ...] = ("prefork", "threads", "gevent", "solo")

TTL = 2.0
"""Seconds, where an ending is seen by nobody: then the key is free when they have passed."""
LONG_TTL = 30.0
"""Seconds, where Celery sees the ending: a key that is free at once was not waited for."""


@dataclass(frozen=True)
class Acks:
    """When a message is acknowledged, and what becomes of it when its child dies."""

    name: str
    options: dict[str, Any]


ACKS = (
    Acks("early", {"acks_late": False}),
    Acks("late", {"acks_late": True}),
    Acks("late, reject on worker lost", {"acks_late": True, "reject_on_worker_lost": True}),
    Acks("late, retry on worker lost", {"acks_late": True, "retry_on_worker_lost": True}),
)
EARLY, LATE, REJECT, RETRY = (acks.name for acks in ACKS)

CELERY_RETRIES_LOST = hasattr(Task, "retry_on_worker_lost")
"""Celery 5.7 and later."""


@dataclass(frozen=True)
class Ending:
    """One way in which a task ends."""

    name: str
    body: str
    """What the body does: a name in `app.BODIES`."""
    fault: str = "nothing"
    """What is done to it from outside: a name in `faults.FAULTS`."""
    seen: bool = True
    """By Celery: the key is free at once. `False`: by nobody, so the ttl must pass."""
    alone: bool = False
    """It ends or changes the whole worker: each has one of its own."""
    may_lose: bool = False
    """A body may be told that its lease is lost, and overlap with the next one then."""
    limits: dict[str, Any] = field(default_factory=dict)
    """Time limits of the message."""
    worker: tuple[str, ...] = ()
    """Further options of the worker."""
    ends_worker: bool = False
    """What is still queued must be done by another one."""


ENDINGS = (
    Ending("return", "returns"),
    Ending("exception", "raises"),
    Ending("Ignore", "ignores"),
    Ending("Reject", "rejects"),
    Ending("Reject, requeued", "requeues"),
    Ending("retry at once", "retries"),
    Ending("retry later", "retries later"),
    Ending("autoretry", "fails once"),
    Ending("replace", "replaces"),
    Ending("soft time limit", "waits", limits={"soft_time_limit": 1}),
    Ending("hard time limit", "waits", limits={"time_limit": 1}),
    Ending("hard time limit, SystemExit swallowed", "swallows", limits={"time_limit": 1}),
    Ending("revoked with TERM", "waits", "revoke TERM"),
    Ending("revoked with KILL", "waits", "revoke KILL"),
    Ending("revoked with USR1", "waits", "revoke USR1"),
    Ending("child terminated", "waits", "terminate child"),
    Ending("child killed", "waits", "kill child"),
    Ending("max tasks per child", "returns", alone=True, worker=("--max-tasks-per-child=1",)),
    Ending("warm shutdown", "lasts", "warm", alone=True, ends_worker=True),
    Ending("cold shutdown", "lingers", "cold", alone=True, ends_worker=True),
    Ending("soft shutdown", "lingers", "soft", alone=True, ends_worker=True),
    Ending("worker killed", "waits", "kill worker", seen=False, alone=True, ends_worker=True),
    Ending("machine gone", "waits", "lose machine", seen=False, alone=True, ends_worker=True),
    Ending("body longer than its ttl", "outlives", alone=True),
    Ending("paused past its ttl", "is paused", "pause", seen=False, alone=True, may_lose=True),
)


@dataclass(frozen=True)
class Row:
    """One line of the matrix."""

    ending: Ending
    pool: Pool
    acks: Acks

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.ending.name}, {self.pool}, acks {self.acks.name}"


@dataclass(frozen=True)
class Exempt:
    """Rows that cannot be. Empty: any."""

    why: str
    pools: tuple[Pool, ...] = ()
    endings: tuple[str, ...] = ()
    acks: tuple[str, ...] = ()

    def covers(self, row: Row) -> bool:
        """Whether this says why there is no such row."""
        return (
            (not self.pools or row.pool in self.pools)
            and (not self.endings or row.ending.name in self.endings)
            and (not self.acks or row.acks.name in self.acks)
        )


EXEMPT: tuple[Exempt, ...] = (
    Exempt(
        "they matter when a pool's child is lost, and this pool has no children",
        pools=("threads", "gevent", "solo"),
        acks=(REJECT, RETRY),
    ),
    Exempt(
        "this pool has no children",
        pools=("threads", "gevent", "solo"),
        endings=("child terminated", "child killed", "max tasks per child"),
    ),
    Exempt(
        "Celery has no soft time limit in this pool",
        pools=("threads", "gevent", "solo"),
        endings=("soft time limit",),
    ),
    Exempt(
        "Celery has no hard time limit in this pool",
        pools=("threads", "solo"),
        endings=("hard time limit", "hard time limit, SystemExit swallowed"),
    ),
    Exempt(
        "a greenlet is ended by an exception, and what swallows it is not killed",
        pools=("gevent",),
        endings=("hard time limit, SystemExit swallowed",),
    ),
    Exempt(
        "Celery cannot end a thread",
        pools=("threads",),
        endings=("revoked with TERM", "revoked with KILL", "revoked with USR1"),
    ),
    Exempt(
        "the worker reads no command while its body runs",
        pools=("solo",),
        endings=("revoked with TERM", "revoked with KILL", "revoked with USR1"),
    ),
    Exempt(
        "a greenlet gets no signal: all are as TERM",
        pools=("gevent",),
        endings=("revoked with KILL", "revoked with USR1"),
    ),
)
if not CELERY_RETRIES_LOST:
    EXEMPT = (*EXEMPT, Exempt("this Celery has no task_retry_on_worker_lost", acks=(RETRY,)))


def why_not(row: Row) -> str | None:
    """Why there is no such row; `None`: it is played."""
    return next((exempt.why for exempt in EXEMPT if exempt.covers(row)), None)


def rows() -> Iterator[Row]:
    """All of pool x acks x ending, those that cannot be as well."""
    for pool, ending, acks in product(POOLS, ENDINGS, ACKS):
        yield Row(ending, pool, acks)
