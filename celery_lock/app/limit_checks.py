"""What is said as a worker starts of locks that its limits do not go together with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import duration
from ..model import Decision
from ..policies import outcomes, skip
from .bound import BoundLock, BoundLocks, each_lock

__all__ = [
    "cut_short",
    "longest_wait",
    "never_comes",
    "warn_of_limits",
    "warn_of_long_leases",
    "warn_of_short_leases",
]

CALLS = 3
"""How many calls to the store a lease has to outlive, each as long as its deadline allows."""

LONG = 3600.0
"""Seconds of a ttl that is the length of a task, or in milliseconds, and not what a ttl is."""

logger = logging.getLogger("celery_lock")


def longest_wait(policy: Any) -> float:
    """Return for how many seconds a policy may keep a pool process waiting; a function: unknown."""
    return max((decision.blocks for decision in outcomes(policy)), default=0.0)


def never_comes(policy: Any) -> Iterator[str]:
    """Say of each decision that ends by no bound, and has another one after it, that this one
    never comes."""
    for decision in outcomes(policy):
        then = decision.after
        if not decision.bounded and then is not None and then != type(decision)().after:
            yield (
                f"{decision.written} has no bound, so then={then.written} never comes after"
                " it; write max_attempts=20, or max_wait=600"
            )


def cut_short(at_most: Any, limit: Any) -> Iterator[str]:
    """Say for how long a body may go on without its key, where its ceiling is below its limit."""
    if at_most and limit and float(at_most) < float(limit):
        yield (
            f"at_most={float(at_most):g} is below the time limit of {float(limit):g} s: a body"
            f" may go on for {float(limit) - float(at_most):g} s after it has lost its key; write"
            f" at_most={float(limit):g} or more, or leave at_most out"
        )


def warn_of_short_leases(bound: BoundLocks, deadline: float) -> None:
    """Warn of each lease that a slow store may lose: one that ends before three calls can."""
    for name, lock in each_lock(bound):
        if lock.ttl < CALLS * deadline:
            logger.warning(
                "the ttl of task %s is %g s, and one call to the store may take %g s"
                " (lock_store_deadline): a lease shorter than three of these, %g s, is lost where"
                " the store is slow. Write a ttl of %g or more, or a shorter lock_store_deadline",
                name,
                lock.ttl,
                deadline,
                CALLS * deadline,
                CALLS * deadline,
            )


def warn_of_long_leases(bound: BoundLocks) -> None:
    """Warn of leases that keep their keys for hours after their worker was killed."""
    long = [f"{name} ({duration(lock.ttl)})" for name, lock in each_lock(bound) if lock.ttl > LONG]
    if long:
        logger.warning(
            "the key of a killed worker stays taken for the whole ttl, which is long here: %s. A"
            " lease is renewed as long as its task runs, so its ttl, in seconds, need not be as"
            " long as the task takes; write ttl=60, or leave it out",
            ", ".join(long),
        )


def warn_of_limits(
    app: Any, bound: BoundLocks, *, processes: int, time_limit: float | None
) -> None:
    """Warn of each limit that makes a policy do something else than its author may think.

    Args:
        processes: how many tasks the worker runs at once.
        time_limit: seconds, the lower of the worker's own for tasks that have none.
    """
    tasks = {name: app.tasks.get(name) for name in sorted(bound)}
    for name, task in tasks.items():
        wait = max(longest_wait(lock.on_conflict) for lock in bound[name])
        own = getattr(task, "time_limit", None) or getattr(task, "soft_time_limit", None)
        if time_limit and not own and wait >= time_limit:
            logger.warning(
                "task %s waits for its lock for up to %s, but this worker's time limit is %s:"
                " where it waits so long it is ended before its body begins; write a shorter"
                " wait(), or requeue()",
                name,
                duration(wait),
                duration(time_limit),
            )
        if not own:
            for lock in bound[name]:
                for said in cut_short(lock.at_most, time_limit):
                    logger.warning("task %s: %s", name, said)
        rate = getattr(task, "rate_limit", None)
        if rate and any(map(_sends, bound[name])):
            logger.warning(
                "task %s has the rate_limit %r, and each delivery of a message uses one of it, also"
                " one that meets a conflict and is sent again: a message that meets 3 uses 4."
                " Longer pauses (requeue(constant(60))) use less; wait() uses one",
                name,
                rate,
            )
    etas = app.conf.get("worker_eta_task_limit")
    sent = _named(bound, _sends)
    if etas and sent:
        logger.warning(
            "worker_eta_task_limit is %d: a message that is sent again waits in the worker with an"
            " eta (but on quorum queues and on SQS), and %d that wait hold up all other tasks of"
            " this worker. These send again: %s. Raise it, or give them a worker of their own",
            etas,
            etas,
            sent,
        )
    skipped = _named(bound, _skips)
    if processes == 1 and skipped:
        logger.warning(
            "this worker runs 1 task at a time, so two messages that come to it run one after the"
            " other, and skip() skips neither; only what other workers run is skipped. These skip:"
            " %s. With a concurrency of 2, in another pool than solo, the second is skipped while"
            " the first one runs",
            skipped,
        )


def _named(bound: BoundLocks, does: Callable[[BoundLock], bool]) -> str:
    return ", ".join(name for name in sorted(bound) if any(map(does, bound[name])))


def _sends(lock: BoundLock) -> bool:
    return any(decision.sends for decision in _decisions(lock))


def _skips(lock: BoundLock) -> bool:
    """Its workers skip; where the publisher has the key, a duplicate is not even sent."""
    return not lock.scope.is_publishers and any(
        isinstance(decision, skip) for decision in _decisions(lock)
    )


def _decisions(lock: BoundLock) -> list[Decision]:
    return list(outcomes(lock.on_conflict))
