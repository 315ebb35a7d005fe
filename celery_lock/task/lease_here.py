"""The lease of the body that runs here, and what is said where there is none."""

from __future__ import annotations

from typing import Any

from celery._state import get_current_task

from ..engine.stay import stay_here
from ..errors import LockError
from ..model import Lease
from .around_here import body_here
from .holding import Holding

__all__ = ["current_lease", "lease_of", "leases_of"]

_FORKED = (
    "there is no lease here: this process was forked from the one that runs %s,"
    " and only that one renews the lease and learns of its loss. Let that one look at lease.lost"
    " and end this one; lease.key and lease.token may be handed over"
)
_IN_A_THREAD = (
    "there is no lease here: %s runs in another thread (or greenlet) of this"
    " process, and each of them sees its own task alone. Read it in the body, lease = self.lease,"
    " and hand that to the thread: lost, check(), remaining() and token may be used in any thread"
)
_AROUND_THE_BODY = (
    "there is no lease here: task %s has its lease while its body runs, and this runs before or"
    " after that (before_start, on_success, on_failure, after_return, a signal). Do it in the body,"
    " or keep there what is needed of self.lease"
)


def current_lease() -> Lease:
    """Return the lease of the task, or of the `hold()`, that is running here: the innermost one.

    Raises `LockError` where nothing is locked, so that a forgotten lock fails the first test; in a
    run that goes on without a lock, because the store gave no answer; and in a thread, or a forked
    process, that the body has begun: hand the lease over to a thread. What inherits the context
    of a `hold()`, such as `asyncio.to_thread()`, finds its lease.
    """
    task: Any = get_current_task()  # the stubs say that there is always one
    stay = stay_here()
    if stay is not None and (held := stay.lease) is not None and stay.around is body_here():
        if not held.is_at_home:
            raise LockError(_FORKED % f"the block of hold() with the key {held.key!r}")
        return held
    if task is not None:
        return lease_of(task)
    _say_where_it_is(None)
    raise LockError(
        "there is no lease here: no task is running, and no hold() is entered; apply the task, or"
        " write with hold(...). A thread that the block of a hold() begins may be given the lease"
    )


def lease_of(task: Any) -> Lease:
    """Return the lease of a task's body that runs here, the first one where it has several.

    Raises `LockError` where none does.
    """
    return leases_of(task)[0]


def leases_of(task: Any) -> list[Lease]:
    """Return the leases of a task's body that runs here. Raises `LockError` where none does."""
    holding = Holding.of(task.request)
    if holding is None:
        if task.request_stack.top is None:  # a direct call has a request, in its own thread
            _say_where_it_is(task.name)
            raise LockError(
                f"there is no lease here: no body of task {task.name} runs with a lock in this"
                " process; apply the task to get one. A process that its body starts may be given"
                " lease.key and lease.token"
            )
        # a task of another base has no locks at all
        if getattr(task, "_bound_locks", ()) and not task.request.called_directly:
            raise LockError(_AROUND_THE_BODY % task.name)
        raise LockError(
            f"there is no lease here: task {task.name} was called directly, or has no lock;"
            " apply it (delay, apply_async, apply), and let it name LockedTask as its base"
        )
    if not holding.is_here:
        raise LockError(_FORKED % f"the body of task {task.name}")
    return holding.leases


def _say_where_it_is(name: str | None) -> None:
    """Raise if a body of the task `name` (`None`: of any) runs, but not in this thread."""
    for holding in Holding.entered():
        if name is None or holding.task == name:
            said = _IN_A_THREAD if holding.is_here else _FORKED
            raise LockError(said % f"the body of task {holding.task}")
