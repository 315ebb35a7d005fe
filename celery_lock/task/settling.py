"""The lease that a message names is settled in the process that runs its body.

Whatever the lock of the task says here, and if it has none: who published the message counted on
it. A queue place is given back as the body starts. What no run has adopted is freed as the message
ends, unless that goes back to its queue, or on, and takes the lease along.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any
from weakref import WeakSet

from celery import signals, states

from ..app.locks import AppLocks, locks_of
from ..engine.freeing import free_here, free_soon
from ..errors import LockError, StoreError
from ..events import Subject
from ..message.queued import Queued, queued_of
from ..model.clock import steady
from ..model.scope import is_queue_place
from .ended_by import goes_back
from .postrun import around

__all__ = [
    "Settling",
    "is_last",
    "is_watched",
    "is_within",
    "left",
    "settle",
    "subject_of",
    "watch",
    "watch_for",
    "without_lock",
]

logger = logging.getLogger("celery_lock")

_EVERY = 60.0
"""Seconds between two complaints of one process about leases of another store."""

_next_complaint: list[float] = [0.0]

_reached: WeakSet[Any] = WeakSet()
"""The requests whose messages name a lease and have come to a `__call__` of ours: it settles."""

_within: set[int] = set()
"""The numbers of what the requests say of their delivery, or of the requests where they say nothing
of it, whose bodies run without a lock: a body that calls its own task gets a copy of its request,
with the same object in it."""

_watching: list[bool] = []


class Settling:
    """What the delivery of a message does about the lease that the message names."""

    __slots__ = ("_adopted", "_locks", "_queued", "_subject")

    def __init__(self, queued: Queued, task: Any, request: Any, locks: AppLocks) -> None:
        self._queued = queued
        self._locks = locks
        self._subject = subject_of(task, queued.task_id)
        self._adopted: Collection[str] | None = ()
        _reached.add(request)

    def start(self) -> None:
        """Give the queue places back: the body starts. Raises nothing of its own."""
        _say_if_elsewhere(self._queued, self._subject, self._locks)
        names = self._queued.names
        self._free(filter(is_queue_place, names))
        self._queued = self._queued._replace(
            names=tuple(name for name in names if not is_queue_place(name))
        )

    def conclude(self, adopted: Collection[str] | None) -> None:
        """Note what the run has adopted; `None`: the message goes on, and takes all along."""
        self._adopted = adopted

    def end(self) -> None:
        """Free the rest: the message has ended for good, or its retry goes on. Raises nothing of
        its own."""
        if self._adopted is not None:
            self._free([name for name in self._queued.names if name not in self._adopted])

    def _free(self, names: Iterable[str]) -> None:
        """Nothing of ours is raised, and a time limit that falls into it is: it comes once."""
        rest, holder, subject = list(names), self._queued.holder, self._subject
        try:
            while rest:
                free_here(self._locks.locker, rest.pop(0), holder, subject)
        except LockError as error:
            left(subject, error)
        except BaseException:
            for name in rest:
                free_soon(self._locks.locker, name, holder, subject)
            raise


def without_lock(
    task: Any, request: Any, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call the body of a task that has no lock here, and settle the lease of its publisher's."""
    queued, within = queued_of(request), _number_of(request)
    settling = None if queued is None else Settling(queued, task, request, locks_of(task.app))
    try:
        _within.add(within)
        if settling is not None:
            settling.start()
        result = call(*args, **kwargs)
    except BaseException as error:
        if settling is not None and not _comes_again(error, task, request):
            settling.end()
        raise
    finally:
        _within.discard(within)
    if settling is not None:
        settling.end()
    return result


def is_within(request: Any) -> bool:
    """Whether this is the request of a body that runs without a lock, or a copy of it."""
    return _number_of(request) in _within


def _number_of(request: Any) -> int:
    info = request.delivery_info
    return id(request if info is None else info)


def settle(task: Any, request: Any, error: BaseException) -> None:
    """Free what is kept for a message that has ended before anything was claimed for it."""
    queued = queued_of(request)
    if queued is None:
        return
    settling = Settling(queued, task, request, locks_of(task.app))
    if not _comes_again(error, task, request):
        settling.end()


def is_watched(task: Any) -> bool:
    """Return whether the processes that run the bodies of this task settle at `task_postrun`.

    Those of a task whose publishers take a lease, or may: it has no lock here.
    """
    bound = task._bound_locks
    return task.lock is None or any(lock.scope.is_publishers for lock in bound)


def watch_for(task: Any) -> None:
    """Settle so in this process where the task needs it."""
    if is_watched(task):
        watch()


def watch() -> None:
    """Settle from now on also where a run never comes to our `__call__`; more than once is once.

    Only where such messages are expected: each task of the process pays for the signal.
    """
    if not _watching:
        _watching.append(True)
        signals.task_postrun.connect(_settle_unseen, weak=False)


def _settle_unseen(task: Any = None, state: Any = None, retval: Any = None, **_: Any) -> None:
    request = task.request
    queued = None if request in _reached else queued_of(request)
    if queued is None:
        return
    # or a stop on its way through the tracer
    error = retval if state == states.REJECTED else around()
    if error is None or not _comes_again(error, task, request):
        Settling(queued, task, request, locks_of(task.app)).end()


def is_last(app: Any, request: Any) -> bool:
    """Return whether its queue gives a message out no more if it goes back there."""
    return locks_of(app).transport_of(request).is_last(request)


def _comes_again(error: BaseException, task: Any, request: Any) -> bool:
    return goes_back(error, task) and not is_last(task.app, request)


def subject_of(task: Any, task_id: str) -> Subject:
    """Return what a fact about the lease of a message is about."""
    bound = getattr(task, "_bound_locks", ())
    return Subject(task.name, task_id, bound[0].key.template if bound else "")


def left(subject: Subject, error: Exception) -> None:
    """Say that what is kept for a message could not be freed."""
    logger.error(
        "what is kept for the message of task %s[%s] could not be freed: %s; it is free when its"
        " queue_ttl has run out, or by the command: lock release",
        subject.task,
        subject.task_id,
        error,
        exc_info=None if isinstance(error, LockError) else error,
    )


def _say_if_elsewhere(queued: Queued, subject: Subject, locks: AppLocks) -> None:
    """Say that a lease lies in another store, at most once a minute. Never raises."""
    if not queued.store or steady() < _next_complaint[0]:
        return
    try:
        locker = locks.locker
        if not locker.store_id.is_of_another(queued.store):
            return
    except StoreError:  # no answer: the next message will tell
        return
    except LockError as error:
        left(subject, error)
        return
    _next_complaint[0] = steady() + _EVERY
    logger.error(
        "the lease of task %s[%s], %s, was taken in another store than %s: its publisher has"
        " another lock_store or another lock_key_prefix, or the store was emptied since that one"
        " has begun. The task runs by its own lock here; in the other store the lease stays taken"
        " until its queue_ttl has run out. Give publishers and workers the same store",
        subject.task,
        subject.task_id,
        ", ".join(queued.names),
        locker.store.url,
    )
