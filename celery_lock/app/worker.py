"""The worker's steps for its locks: checks at the start, and flags that pool processes read.

The first locked task that is bound to an app installs them, so there is nothing to configure.
"""

from __future__ import annotations

import logging
import mmap
import re
import weakref
from typing import Any

from celery import bootsteps, signals
from celery.worker import state

from ..engine.completions import send_last
from ..engine.pending_calls import make_last
from ..errors import LockConfigurationError
from ..message.hearing import hear_queues
from . import notes, stamping
from .bound import refuse_what_lacks
from .limit_checks import warn_of_limits, warn_of_long_leases, warn_of_short_leases
from .locks import locks_of
from .observing import last_words
from .refusing import refusing
from .revoking import hear_revoked
from .start_checks import (
    warn_of_features,
    warn_of_piling,
    warn_of_store,
    warn_of_transport,
    warn_of_unread,
    warn_of_waits,
)
from .unreadable import hear_unreadable

__all__ = [
    "ConsumerStep",
    "WorkerStep",
    "acknowledges_last",
    "connection_epoch",
    "follow_events",
    "forks",
    "install",
    "stopping",
]

logger = logging.getLogger("celery_lock")

_PREFORK = "celery.concurrency.prefork"
_OUR_SCHEDULER = re.compile(r"celery_lock\.beat(:|\..*Scheduler)")
"""One of the schedulers of `beat` in both spellings, with a colon and with a dot."""

# Celery lets no pool process know of a warm shutdown, of a lost connection, or whether monitors
# want events: the main process writes the flags, and the pool processes read them. An anonymous
# map is shared over a fork, without a lock that a killed process could leave held.
_shared = mmap.mmap(-1, 3)
_STOPPING = 0
"""Index of the flag that is 1 once the worker has been asked to stop."""
_CONNECTIONS = 1
"""Index of the flag that counts the worker's connections to its broker, made and lost, modulo
256."""
_EVENTS = 2
"""Index of the flag that is 1 while the worker sends the events of tasks."""

_forking: weakref.WeakSet[Any] = weakref.WeakSet()
"""The apps whose worker in this process runs the bodies in pool processes."""
_solo: weakref.WeakSet[Any] = weakref.WeakSet()
"""The apps whose worker runs the bodies in its own thread."""


def install(app: Any) -> None:
    """Add our steps to the workers of `app`; more than once is once."""
    app.steps["worker"].add(WorkerStep)
    app.steps["consumer"].add(ConsumerStep)


def stopping() -> bool:
    """Whether the worker that this process belongs to has been asked to stop."""
    return (
        _shared[_STOPPING] == 1 or _is_asked(state.should_stop) or _is_asked(state.should_terminate)
    )


def _is_asked(status: Any) -> bool:
    return status is not None and status is not False  # an exit status: 0 is a stop as well


def connection_epoch() -> int:
    """Return a number that changes whenever the worker connects to its broker anew."""
    return _shared[_CONNECTIONS]


def follow_events(dispatcher: Any) -> None:
    """Send events from now on if the worker's dispatcher sends those of tasks, else none.

    Flower and `celery control enable_events` switch them on in a worker that runs.
    """
    groups = getattr(dispatcher, "groups", None)
    enabled = getattr(dispatcher, "enabled", False)
    _shared[_EVENTS] = bool(enabled and (not groups or "task" in groups))


def _sends_events() -> bool:
    return _shared[_EVENTS] == 1


def forks(app: Any) -> bool:
    """Whether the worker of this process runs the bodies of `app` in pool processes of its own.

    A pool process may die by itself. In the other pools the worker's own process runs the bodies,
    and a request's `worker_pid` is no process's number there.
    """
    return app in _forking


def acknowledges_last(app: Any) -> bool:
    """Whether the worker of this process acknowledges a message after its body in any case.

    The solo pool runs bodies where the worker would send the acknowledgement, one after the other
    of all messages that came together: those acknowledged early are so after the last of them.
    """
    return app in _solo


class WorkerStep(bootsteps.StartStopStep):
    """Look at the store once, before the pool is made."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        with refusing():
            self._check(worker, options)

    def _check(self, worker: Any, options: dict[str, Any]) -> None:
        pool = f"{worker.pool_cls.__module__}"
        if "eventlet" in pool:
            raise LockConfigurationError(
                "celery_lock does not support the eventlet pool;"
                " use prefork, threads, gevent or solo"
            )
        file = str(getattr(worker, "statedb", None) or "")
        if _OUR_SCHEDULER.search(file):  # `worker -B` would run Celery's own one beside it
            raise LockConfigurationError(
                f"-S is the state file of a worker (--statedb), and {file!r} is no file but a"
                " scheduler: write --scheduler, or set beat_scheduler"
            )
        _shared[_STOPPING] = 0
        _forking.discard(worker.app)
        _solo.discard(worker.app)
        if any(klass.__module__ == _PREFORK for klass in worker.pool_cls.__mro__):
            _forking.add(worker.app)
            notes.begin(_most_processes(options.get("autoscale"), worker))
        if "solo" in pool:
            _solo.add(worker.app)
        signals.worker_shutting_down.connect(_on_shutting_down, weak=False)
        signals.worker_process_shutdown.connect(_on_child_leaving, weak=False)
        locks = locks_of(worker.app)
        if not locks.bound:
            return
        stamping.come_last()  # the worker has imported all modules: receivers of theirs stand by
        _shared[_EVENTS] = bool(worker.task_events)
        locks.in_worker(
            events=_sends_events, hostname=worker.hostname, time_limit=worker.time_limit
        )
        store = locks.open_store()  # a wrong URL or a missing driver stops the worker here
        refuse_what_lacks(store, locks.bound)  # and one that cannot do what a lock needs
        warn_of_features(store, locks.bound)
        try:
            warn_of_store(
                store,
                then="the worker starts all the same, and its locked tasks follow on_store_error",
            )
        finally:
            store.close()  # the pool forks next: no child may share a connection
        if "solo" in pool:
            warn_of_waits(locks.bound)
        warn_of_transport(locks.transport, worker.app.amqp.queues.consume_from)
        warn_of_piling(worker.app)
        warn_of_unread(worker.app)
        warn_of_short_leases(locks.bound, locks.settings.store_deadline)
        warn_of_long_leases(locks.bound)
        limits = (worker.time_limit, getattr(worker, "soft_time_limit", None))
        warn_of_limits(
            worker.app,
            locks.bound,
            # the solo pool has the concurrency of other pools, and runs one all the same
            processes=1 if "solo" in pool else _most_processes(options.get("autoscale"), worker),
            time_limit=min((float(limit) for limit in limits if limit), default=None),
        )


def _most_processes(autoscale: Any, worker: Any) -> int:
    """Return how many pool processes there may be at once; `autoscale`: "most,fewest"."""
    if isinstance(autoscale, str):
        autoscale = autoscale.split(",")
    most = max((int(number or 0) for number in autoscale or ()), default=0)
    return max(most, int(getattr(worker, "concurrency", 0) or 0))


class ConsumerStep(bootsteps.StartStopStep):
    """Remember the consumer, which knows from which queue a message came; count connections."""

    requires = ("celery.worker.consumer:Tasks",)

    def start(self, parent: Any) -> None:
        locks_of(parent.app).consumes_by = parent
        hear_queues(getattr(parent, "task_consumer", None))
        follow_events(getattr(parent, "event_dispatcher", None))
        hear_unreadable(parent)
        hear_revoked()
        _count_connection()

    def stop(self, parent: Any) -> None:
        """The connection is lost: copies of what it brought may run before there is another one."""
        if not stopping():
            _count_connection()


def _count_connection() -> None:
    _shared[_CONNECTIONS] = (_shared[_CONNECTIONS] + 1) % 256


def _on_shutting_down(**_: Any) -> None:
    _shared[_STOPPING] = 1


def _on_child_leaving(**_: Any) -> None:
    make_last()  # a release without an answer: the key would stay taken for its ttl
    send_last()
    last_words()
