"""What is said once as a worker or a beat starts: of its store, of its schedule."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from ..errors import StoreError, duration
from ..message import Transport
from ..message.delayed import LONGEST_NAME
from ..message.origin import declared_arguments
from ..model import Decision, Feature, Lock, LockStore
from ..policies import outcomes
from .bound import BoundLock, BoundLocks, each_lock
from .settings import Settings

__all__ = [
    "done_less_well",
    "warn_of_features",
    "warn_of_late_settings",
    "warn_of_name",
    "warn_of_piling",
    "warn_of_spawned_beat",
    "warn_of_store",
    "warn_of_transport",
    "warn_of_unread",
    "warn_of_waits",
]

logger = logging.getLogger("celery_lock")

_NAMED = 5
"""How many tasks are named in one line at most."""

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+>")
"""Celery names an entry without a name after its arguments; many things show where they are."""


def warn_of_store(store: LockStore, *, then: str) -> None:
    """Look at the store once, and warn of what is wrong with it.

    A store without an answer is no reason not to start: `then` says what happens all the same.
    """
    try:
        for warning in store.check():
            logger.warning("the lock store %s: %s", store.url, warning)
    except StoreError as error:
        logger.warning("%s; %s until the store answers", error, then)


def warn_of_late_settings(read: Settings, conf: Any) -> None:
    """Warn of settings that have changed after they were read, and so have no effect.

    Raises `LockConfigurationError` for one that makes no sense.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unknown names were warned of as they were read
        now = Settings.read(conf)
    names = [each.name for each in fields(Settings)]
    late = [f"lock_{name}" for name in names if getattr(read, name) != getattr(now, name)]
    if late:
        logger.warning(
            "%s: set after the first locked task was bound, and without effect; set it before that,"
            " or declare tasks with @app.task and not with lazy=False or register_task()",
            ", ".join(late),
        )


def warn_of_spawned_beat() -> None:
    """Warn of a beat within a worker that spawns its processes: it imports no tasks."""
    logger.warning(
        "the beat in this worker (-B) will be spawned, and then Celery does not import the tasks in"
        " it: what it publishes takes no lease at the publisher, and has no name of its own"
        " unless the scheduler is one of celery_lock. Run celery beat as a process of its own"
    )


def warn_of_features(store: LockStore, bound: BoundLocks) -> None:
    """Warn of what a store does less well than the locks ask for."""
    for said in done_less_well(store, bound):
        logger.warning("%s", said)


def done_less_well(store: LockStore, bound: BoundLocks) -> Iterator[str]:
    """Say what a store does less well than the locks ask for."""
    for task, lock in each_lock(bound):
        if lock.ttl < store.coarse:
            yield (
                f"the ttl of task {task} is {lock.ttl:g} s, and the lock store {store.url} measures"
                f" no finer than {store.coarse:g} s: its lease may live for so much longer than was"
                " asked for"
            )
    if bound and Feature.COPIES not in store.features:
        yield (
            f"the lock store {store.url} remembers no completed messages: a copy that the broker"
            " delivers after the task has ended runs again, as it does without a lock"
        )


def warn_of_transport(transport: Transport, queues: Mapping[str, Any]) -> None:
    """Warn of what is assumed of a transport, and of quorum queues that wait in their worker."""
    if not transport.is_known:
        logger.warning(
            "the transport %r is not known to celery_lock, which takes it for one of kombu's"
            " virtual ones: a redelivered message keeps its delivery tag and is flagged, it comes"
            " back within %s, a requeued one waits in a worker for up to %s, and an error of"
            " its driver says that a message was not sent",
            transport.driver,
            duration(transport.visibility),
            duration(transport.longest_pause),
        )
    for name, queue in sorted(queues.items()):
        arguments = declared_arguments(queue)
        is_quorum = arguments.get("x-queue-type") == "quorum"
        if is_quorum and not transport.pause_in(name, arguments).in_broker:
            logger.warning(
                "a requeued message of the quorum queue %s waits in its worker, and keeps one of"
                " the few places there from others: RabbitMQ can delay none for a queue that"
                " expires, or whose name is above %d bytes or has a wildcard",
                name,
                LONGEST_NAME,
            )


def warn_of_waits(bound: BoundLocks) -> None:
    """Warn of each task that waits for its lock: for the solo pool, which can do nothing else."""
    for task, lock in each_lock(bound):
        if isinstance(lock.on_conflict, Decision) and lock.on_conflict.blocks:
            logger.warning(
                "task %s waits for its lock for up to %s in the solo pool, which can do nothing"
                " else meanwhile, not even answer the broker; requeue() leaves it free",
                task,
                duration(lock.on_conflict.blocks),
            )


def warn_of_name(name: str) -> None:
    """Warn of an entry's name that no other beat can know: each has an entry of its own then."""
    if _ADDRESS.search(str(name)):
        logger.warning(
            "the name of the scheduled entry %r holds an address in memory, so each beat has an"
            " entry of its own and publishes it, and a beat that starts again loses its"
            " times. Give it a name: add_periodic_task(..., name=...)",
            name,
        )


def warn_of_unread(app: Any) -> None:
    """Warn once of the locks that no class reads: what `task_annotations` give says so nowhere.

    Celery's own tasks are left out: `"*"` gives them what it gives to all.
    """
    unread = [
        name
        for name, task in sorted(app.tasks.items())
        if _has_a_lock(getattr(task, "lock", None))
        and not hasattr(task, "_bound_locks")
        and not name.startswith("celery.")
    ]
    if len(unread) > _NAMED:
        unread[_NAMED:] = [f"and {len(unread) - _NAMED} more"]
    if unread:
        logger.warning(
            "these tasks declare a lock that nobody takes, for their class is no LockedTask: %s."
            " Write base=LockedTask, or Celery(task_cls=LockedTask) for tasks of other people",
            ", ".join(unread),
        )


def _has_a_lock(given: Any) -> bool:
    locks = given if isinstance(given, (list, tuple)) else (given,)
    return any(isinstance(one, Lock) for one in locks)


def warn_of_piling(app: Any) -> None:
    """Warn once of the entries of `beat_schedule` that come back without end while a run goes on.

    A schedule sends the next message whether or not the one before has been run. With `requeue()`
    without a bound each of them waits, so a run that is slower than its schedule leaves more of
    them behind each time. What a policy function would answer is not known, and left out; so is
    a task that is not known here.
    """
    entries = app.conf.beat_schedule or {}
    named = {str(name): _task_of(entry) for name, entry in entries.items()}
    piling = [
        f"{task} (entry {name!r})"
        for name, task in sorted(named.items())
        if any(map(_piles, getattr(app.tasks.get(task), "_bound_locks", ())))
    ]
    if piling:
        logger.warning(
            "scheduled with requeue() and no bound: %s; behind a run that is slower than its"
            " schedule the others pile up. Write on_conflict=skip() to skip while one is running,"
            " or requeue(max_wait=...) to bound the waiting",
            ", ".join(piling),
        )


def _task_of(entry: Any) -> str:
    """Return an entry's task: entries are dicts, or the scheduler's own objects."""
    return str(entry.get("task") if isinstance(entry, dict) else getattr(entry, "task", ""))


def _piles(bound: BoundLock) -> bool:
    if bound.key.of_one_tick:
        return False
    return any(decision.sends and not decision.bounded for decision in outcomes(bound.on_conflict))
