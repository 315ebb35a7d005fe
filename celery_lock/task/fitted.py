"""A task class as it meets its app: it is checked, fitted, and its locks are bound."""

from __future__ import annotations

from typing import Any

from ..app import stamping, worker
from ..app.bound import BoundLock, has_publishers
from ..app.locks import locks_of
from .binding import bind, declared_locks
from .body import own_call
from .classes import (
    lock_outside,
    refuse_strategy,
    use_own_lock,
    warn_if_left_out,
    warn_if_sent_past,
)
from .fitting import keep_users_request, let_interrupt, offer_on_commit
from .options import check_task_options

__all__ = ["FittedAnew", "bound_for"]


class FittedAnew:
    """What a bound task does when its `lock` is set, or taken off it again: as tests do."""

    lock: Any

    def __setattr__(self, name: str, value: Any) -> None:
        """Take another lock from now on.

        Raises `LockConfigurationError` for one that cannot be, and keeps the one before.
        """
        if name != "lock":
            super().__setattr__(name, value)
            return
        before = self.lock
        try:
            super().__setattr__(name, value)
            _fit_anew(self)
        except BaseException:
            super().__setattr__(name, before)
            _fit_anew(self)
            raise

    def __delattr__(self, name: str) -> None:
        """Take the lock of the task's class again, where another one was set on the task."""
        super().__delattr__(name)
        if name == "lock":
            _fit_anew(self)


def _fit_anew(task: Any) -> None:
    klass = type(task)
    app = vars(klass).get("_bound_to")
    if app is not None:  # else it is not bound yet
        klass._fit(klass, app)


def bound_for(klass: Any, app: Any, name: str, locked_task: Any) -> tuple[BoundLock, ...]:
    """Return the locks of a task class, in the order in which it declares them.

    Raises `LockConfigurationError` for what cannot be.
    """
    offer_on_commit(klass, app)
    warn_if_left_out(klass, app, name, locked_task)
    use_own_lock(klass, app, name)
    declared = declared_locks(klass, name, locked_task, app.Task)
    if klass.lock is not None and not name.startswith("celery."):
        check_task_options(klass, name, locked_task, is_locked=bool(declared))
    keep_users_request(klass, locked_task.Request, is_locked=bool(declared))
    if not declared:
        return ()
    refuse_strategy(klass, name)
    klass._app_locks = locks = locks_of(app)
    bound = tuple(bind(klass, name, lock, locks) for lock in declared)
    has_functions = any(lock.has_functions for lock in bound)
    lock_outside(klass, name, locked_task, has_functions=has_functions)
    publishes = has_publishers(bound)
    klass._compares = publishes and own_call(klass) is not None
    if publishes:
        warn_if_sent_past(klass, name, locked_task)
    locks.register(name, bound)
    stamping.expect(name)
    if any(lock.interrupts for lock in bound):
        let_interrupt(klass, app, name)
    worker.install(app)
    return bound
