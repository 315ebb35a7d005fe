"""What the locks of one Celery app share: settings, the store, the engine, the sender.

Made at the first use; nothing here opens a connection before a lock is claimed.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from functools import cached_property
from typing import Any

from ..engine.locker import Locker
from ..errors import LockConfigurationError
from ..events import Fact
from ..message import Sender, Transport, parts_of, transport_of
from ..model import LockStore, Scope
from ..stores import choose_store, open_store
from .bound import BoundLock, refuse_what_lacks
from .observing import observers_of
from .settings import Settings

__all__ = ["AppLocks", "checked_app", "locks_of"]


class AppLocks:
    """The locks of one app."""

    def __init__(self, app: Any) -> None:
        self._app = weakref.ref(app)
        self.settings = Settings.read(app.conf)
        self.time_limit: float | None = None
        self.enforces_limits = True
        """Whether the pool ends a body at its hard limit; threads and solo cannot."""
        self.now: Callable[[], float] = time.time
        """Seconds since 1970 by this machine's clock, when a message is published."""
        self.consumes_by: Any = None
        """The consumer of the worker in this process, as Celery has it; `None`: there is none."""
        self.bound: dict[str, tuple[BoundLock, ...]] = {}
        """What the locks of each locked task have become, by the task's name."""
        self.sender = Sender(app)
        self.observers = observers_of(app, self.settings, events=_setting_of(app))
        self._of_queues: dict[tuple[Any, ...] | None, Transport] = {}
        self._engine: dict[str, Locker] = {}
        self._stand_in: Locker | None = None

    def in_worker(
        self,
        *,
        events: Callable[[], bool],
        hostname: str | None = None,
        time_limit: float | None = None,
        enforces_limits: bool = True,
    ) -> None:
        """This process is a worker's, or will be forked from it.

        `events`: whether it sends them at this moment. `hostname`: its own, under which its pool
        processes send theirs too. `time_limit`: seconds, its own for tasks that have none.
        `enforces_limits`: whether its pool ends a body at the hard limit.
        """
        self.time_limit, self.enforces_limits = time_limit, enforces_limits
        app = self._app()
        if app is not None:
            self.observers = observers_of(app, self.settings, events=events, hostname=hostname)
            self._engine.clear()

    def consumer(self) -> Any:
        """Return the kombu consumer of this process's worker, `None` where there is none."""
        return None if self.consumes_by is None else self.consumes_by.task_consumer

    @cached_property
    def transport(self) -> Transport:
        """What the transport that the app's messages come by does with them."""
        app: Any = self._app()  # a running task keeps its app alive
        return transport_of(app.connection_for_read(), app.conf.broker_transport_options)

    def transport_of(self, request: Any) -> Transport:
        """Return what that transport does with the messages of the queue of a request."""
        if self.transport.reads is None:  # it says nothing of single queues
            return self.transport
        parts = parts_of(request)
        facts = None if parts is None else parts.facts
        known = self._of_queues.get(facts)
        # atomic: in a threads pool the first one made is everybody's
        return known or self._of_queues.setdefault(facts, self.transport.for_queue(facts))

    @property
    def locker(self) -> Locker:
        """The engine. Raises `LockConfigurationError` when there is no store for it."""
        if self._stand_in is not None:
            return self._stand_in
        locker = self._engine.get("locker")
        if locker is None:
            store = self.open_store()
            refuse_what_lacks(store, self.bound)
            deadline = self.settings.store_deadline
            made = Locker(store, observers=self.observers, deadline=deadline)
            # atomic: in a threads pool the first one made is everybody's
            locker = self._engine.setdefault("locker", made)
        return locker

    def notify(self, fact: Fact) -> None:
        """Let the observers know of a fact, also where there is no store."""
        observers = self.observers if self._stand_in is None else self._stand_in.observers
        observers.notify(fact)

    def open_store(self) -> LockStore:
        """Return the store that the settings name, or that a test has put in its place."""
        if self._stand_in is not None:
            stand_in = self._stand_in.store
            behind: LockStore = getattr(stand_in, "behind", stand_in)  # its breaker is the engine's
            return behind
        app, settings = self._app(), self.settings
        if app is None:  # pragma: no cover - nobody can ask once the app is gone
            raise LockConfigurationError("the Celery app of this lock is gone")
        url, options = choose_store(app.conf, settings.store)
        return open_store(
            url,
            options={**options, **settings.store_options},
            deadline=settings.store_deadline,
            prefix=settings.key_prefix,
        )

    def swap(self, locker: Locker | None) -> Locker | None:
        """Let another engine stand in, and return the one that did so before: for tests.

        It stays for a worker that a test starts in its own process; `None`: the real one again.
        """
        before, self._stand_in = self._stand_in, locker
        return before

    def register(self, task: str, bound: tuple[BoundLock, ...]) -> None:
        """Remember a task's locks; refuse one that contradicts another of the same template."""
        for one in bound:
            for other, locks in self.bound.items():
                if other == task or not isinstance(one.lock.key, str):
                    continue
                for known in _comparable(one, bound, locks):
                    _refuse_difference(task, one, other, known)
        locker = self._engine.get("locker")
        if locker is not None:  # it was held against the tasks that there were
            refuse_what_lacks(locker.store, {task: bound})
        self.bound[task] = bound


def _comparable(
    one: BoundLock, bound: tuple[BoundLock, ...], others: tuple[BoundLock, ...]
) -> list[BoundLock]:
    """Return which locks of another task one of these must be like: those of its template.

    A task that has the template twice, for its queue place and for its body, has two things.
    """
    known = [each for each in others if each.lock.key == one.lock.key]
    alike = [each for each in known if _is_place(each) is _is_place(one)]
    twice = len({_is_place(each) for each in bound if each.lock.key == one.lock.key}) > 1
    return alike or ([] if twice else known)


def _is_place(bound: BoundLock) -> bool:
    return bound.scope is Scope.UNTIL_STARTED


def _refuse_difference(task: str, one: BoundLock, other: str, known: BoundLock) -> None:
    for what, mine, theirs in (
        ("scope", one.scope.value, known.scope.value),
        ("ttl", one.ttl, known.ttl),
        ("limit", one.limit, known.limit),
    ):
        if mine != theirs:
            raise LockConfigurationError(
                f"tasks {task} and {other} share the lock {one.lock.key!r} but not its {what}:"
                f" {mine!r} against {theirs!r}; give both the same, or two templates"
            )


def _setting_of(app: Any) -> Callable[[], bool]:
    """Return what says whether a process that is no worker sends events."""
    sends = bool(app.conf.worker_send_task_events)
    return lambda: sends


_apps: weakref.WeakKeyDictionary[Any, AppLocks] = weakref.WeakKeyDictionary()


def locks_of(app: Any) -> AppLocks:
    """Return the locks of `app`; a proxy such as `current_app` is looked through."""
    app = getattr(app, "_get_current_object", lambda: app)()
    locks = _apps.get(app)
    if locks is None:
        locks = _apps.setdefault(app, AppLocks(app))
    return locks


def all_locks() -> list[AppLocks]:
    """Return the locks of each app of this process that has any."""
    return list(_apps.values())


def checked_app(app: Any, given: str, write: str) -> Any:
    """Return the app that `app` is, or stands for; refuse what is no Celery app.

    `given` is what the message calls it, and `write` an example of what to give.
    """
    real = getattr(app, "_get_current_object", lambda: app)()
    if not (hasattr(real, "conf") and hasattr(real, "send_task")):
        raise LockConfigurationError(
            f"{given} is no Celery app; give the one that your tasks belong to, such as {write}"
        )
    return real
