"""The worker's steps for its locks: checks at the start, and what it hears of.

The first locked task that is bound to an app installs them, so there is nothing to configure.
"""

from __future__ import annotations

import logging
import re
import weakref
from typing import Any

from celery import bootsteps, signals

from ..errors import LockConfigurationError
from ..message.hearing import hear_queues
from . import flags, pool_memory, stamping
from .bound import refuse_what_lacks
from .limit_checks import warn_of_limits, warn_of_long_leases, warn_of_short_leases
from .locks import locks_of
from .pool_processes import begin_child, end_child, share_with
from .refusing import refusing
from .revoking import hear_revoked
from .start_checks import (
    warn_of_features,
    warn_of_late_settings,
    warn_of_piling,
    warn_of_spawned_beat,
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
    "begin",
    "forks",
    "install",
]

logger = logging.getLogger("celery_lock")

_PREFORK = "celery.concurrency.prefork"
_GEVENT = "celery.concurrency.gevent"
_SOLO = "celery.concurrency.solo"
_OUR_SCHEDULER = re.compile(r"celery_lock\.beat(:|\..*Scheduler)")
"""One of the schedulers of `beat` in both spellings, with a colon and with a dot."""

_forking: weakref.WeakSet[Any] = weakref.WeakSet()
"""The apps whose worker in this process runs the bodies in pool processes."""
_solo: weakref.WeakSet[Any] = weakref.WeakSet()
"""The apps whose worker runs the bodies in its own thread."""


def begin() -> None:
    """Look from now on at each worker that starts, for its app may have no locked task at all."""
    signals.celeryd_after_setup.connect(_on_setup, weak=False)


def _on_setup(instance: Any, **_: Any) -> None:
    if WorkerStep not in instance.app.steps["worker"]:
        warn_of_unread(instance.app)


def install(app: Any) -> None:
    """Add our steps to the workers of `app`; more than once is once."""
    app.steps["worker"].add(WorkerStep)
    app.steps["consumer"].add(ConsumerStep)
    signals.worker_process_init.connect(begin_child, weak=False)
    signals.worker_process_shutdown.connect(end_child, weak=False)


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
        flags.begin()
        pool_memory.forget()
        _forking.discard(worker.app)
        _solo.discard(worker.app)
        if _is_of(worker, _PREFORK):
            _forking.add(worker.app)
            share_with(worker, _most_processes(options.get("autoscale"), worker))
        is_solo = _is_of(worker, _SOLO)
        if is_solo:
            _solo.add(worker.app)
        signals.worker_shutting_down.connect(flags.asked_to_stop, weak=False)
        locks = locks_of(worker.app)
        if not locks.bound:
            return
        warn_of_late_settings(locks.settings, worker.app.conf)
        stamping.come_last()  # the worker has imported all modules: receivers of theirs stand by
        flags.send_events(bool(worker.task_events))
        locks.in_worker(
            events=flags.sends_events,
            hostname=worker.hostname,
            time_limit=worker.time_limit,
            enforces_limits=_is_of(worker, _PREFORK, _GEVENT),
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
        if is_solo:
            warn_of_waits(locks.bound)
        warn_of_transport(locks.transport, worker.app.amqp.queues.consume_from)
        warn_of_piling(worker.app)
        if options.get("beat") and pool_memory.is_spawned(worker):
            warn_of_spawned_beat()
        warn_of_unread(worker.app)
        warn_of_short_leases(locks.bound, locks.settings.store_deadline)
        warn_of_long_leases(locks.bound)
        limits = (worker.time_limit, getattr(worker, "soft_time_limit", None))
        warn_of_limits(
            worker.app,
            locks.bound,
            # the solo pool has the concurrency of other pools, and runs one all the same
            processes=1 if is_solo else _most_processes(options.get("autoscale"), worker),
            time_limit=min((float(limit) for limit in limits if limit), default=None),
        )


def _is_of(worker: Any, *pools: str) -> bool:
    """Whether a worker's pool is one of these modules of Celery, or is derived from one."""
    return any(klass.__module__ in pools for klass in worker.pool_cls.__mro__)


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
        flags.follow_events(getattr(parent, "event_dispatcher", None))
        hear_unreadable(parent)
        hear_revoked()
        flags.count_connection()

    def stop(self, parent: Any) -> None:
        """The connection is lost: copies of what it brought may run before there is another one."""
        if not flags.stopping():
            flags.count_connection()
