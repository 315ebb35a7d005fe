"""The task base class: the door through which a body is entered with its key held.

Only this file raises Celery's control-flow exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import GenericAlias
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from celery.exceptions import Ignore, Reject, Retry

from ..app import flags, stamping, worker
from ..app.bound import BoundLock, has_publishers
from ..app.locks import AppLocks
from ..app.observing import know_earlier_names
from ..app.refusing import refusing_at_start
from ..backoff import exponential
from ..errors import LockConfigurationError, LockError, span
from ..keys import WrongArguments
from ..message import Unsent, leave, take
from ..model import Lease, Lock
from . import unrun
from .binding import name_of
from .call_keys import keep_shown, keys_of_call
from .delivery import Delivery
from .ended_by import EndedBy, goes_back
from .ending import Ending
from .fitted import FittedAnew, bound_for
from .handed_on import warn_of_other_arguments
from .holding import Holding
from .lease_here import lease_of, leases_of
from .not_read import IN_A_WORKER, is_celerys_call, is_refused, not_read
from .publishing import PublishesLeases
from .run import Run
from .settling import is_within, settle, watch_for, without_lock
from .started import take_over_started, write_started
from .steps import DropCopy, GiveUp, Resend, RunBody, Skip
from .without_lock import is_without_lock

__all__ = ["LockedTask"]

_P = ParamSpec("_P")
_R = TypeVar("_R", covariant=True)

_NOT_GIVEN: Any = type("_NotGiven", (), {"__repr__": lambda self: "<by its base>"})()

stamping.begin(Holding.kept_by)
unrun.begin()
worker.begin()
know_earlier_names()

_BETWEEN_TRIES = exponential(first=0.5, factor=2, cap=5)
"""Pauses of a worker that holds the only copy of a message while nobody takes it."""


if TYPE_CHECKING:
    from .typed_calls import TypedTask as _Task
else:

    class _Task(FittedAnew, PublishesLeases):
        """Celery's own, with parameters for type checkers, which that of Celery 5.5 lacks."""

        abstract = True
        __class_getitem__ = classmethod(GenericAlias)


class LockedTask(_Task[_P, _R]):
    """A task whose body runs only while its key is held.

    `@app.task(base=LockedTask)` locks on the task's name and all its arguments;
    `lock=Lock("order:{order_id}", ...)` says otherwise, `lock=[Lock("from:{a}"), Lock("to:{b}")]`
    takes all of these keys or none; `lock=None` switches it off. As
    `Celery(task_cls=LockedTask)` it locks only the tasks that declare a lock.

    A direct call, `task(...)`, takes no lock.
    """

    abstract = True
    lock: Lock | Sequence[Lock] | None = _NOT_GIVEN
    Request = "celery_lock.task.request:LockedRequest"

    _bound_locks: tuple[BoundLock, ...] = ()
    _bound_to: Any = None
    _refused: str = ""
    _class_lock: Lock | Sequence[Lock] | None
    _writes_started: bool = False
    _compares: bool = False
    _app_locks: AppLocks

    @classmethod
    def bind(cls, app: Any) -> Any:
        """Bind the class, also where a class of its user's keeps `on_bound()` from us."""
        cls._bound_to = None
        bound = super().bind(app)
        if cls._bound_to is not app:
            LockedTask._fit(cls, app)
        return bound

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """Check the lock against the task and the app; raises `LockConfigurationError`."""
        super().on_bound(app)
        LockedTask._fit(cls, app)

    @staticmethod
    def _fit(klass: Any, app: Any) -> None:
        klass._refused, klass._bound_to = "", app
        bound: tuple[BoundLock, ...] = ()
        name = name_of(klass, app)
        try:
            if name:
                bound = bound_for(klass, app, name, LockedTask)
        except LockConfigurationError as error:
            klass._refused = str(error)
            with refusing_at_start(app):
                raise
        except Exception as error:  # a warning that is an error here, or the author's own code
            klass._refused = f"task {name} is not bound: {type(error).__name__}: {error}"
            raise
        finally:  # not before: Celery binds some tasks twice, and another thread may publish
            klass._bound_locks, klass._publishes = bound, has_publishers(bound)
            take_over_started(klass, is_locked=bool(bound))
        if name:
            watch_for(klass)  # without a lock too: others may publish its messages with one

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the body with its key held, or do what the policy decides."""
        return self._call_locked(super().__call__, args, kwargs)

    def _call_locked(self, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do so; `call`: what runs the body, Celery's own or that of another class."""
        request = self.request_stack.top or self.request
        bound = self._bound_locks
        if not bound or request.called_directly or Holding.of(request) is not None:
            # Holding.of: a body that calls its own task directly has its request, and the key
            if self._refused and not request.called_directly:
                raise LockConfigurationError(self._refused)  # its app has gone on without it
            if not bound and not (request.called_directly or is_within(request)):
                return without_lock(self, request, self._body(request, call), args, kwargs)
            return call(*args, **kwargs)
        locks = self._app_locks
        run: Run | None = None
        error: Any = None
        try:
            take(request)
            try:
                run = Run(Delivery.of(self, bound, locks, request, args, kwargs), locks)
                if self._compares:
                    warn_of_other_arguments(self, bound, request, args, kwargs)
            except WrongArguments as wrong:
                error = wrong.error
            if run is None:  # not within the handler: the error's history is its own
                if is_refused(self, call, args, kwargs):
                    return self._body(request, call)(*args, **kwargs)
                raise not_read(self, call, error)
            while True:
                step = run.next_step()
                if isinstance(step, RunBody):
                    if self._writes_started:
                        write_started(self, request)
                    stamping.come_last()  # what the body sends may be given its own headers
                    result = self._body(request, call)(*args, **kwargs)
                    run.conclude(_RETURNED)
                    return result
                if isinstance(step, Skip):
                    run.conclude(_RETURNED)
                    return step.result
                if isinstance(step, DropCopy):
                    raise Ignore(f"a copy of a message that was completed; lock {run.key!r}")
                if isinstance(step, GiveUp):
                    raise Reject(f"{step.why}; lock {run.key!r}", requeue=False)
                self._send_again(run, step)
        except BaseException as error:
            if run is not None:
                run.conclude(_ending_of(error)._replace(goes_back=goes_back(error, self)))
            else:
                settle(self, request, error)
            raise
        finally:
            try:
                leave(request)
                if run is not None:
                    run.end()
            except BaseException:  # a time limit or a stop fell into it: that comes once
                if run is not None:
                    run.end()
                raise

    def _body(self, request: Any, call: Any) -> Any:
        """Return what runs the body: `call`, unless that is Celery's own.

        Celery's `__call__` makes a request for a call that has none. Here the trace has made one.
        What is seen of the request in the body is what a plain task's shows there.
        """
        if not is_celerys_call(call):
            return call
        if call.__globals__["__name__"] == IN_A_WORKER:
            if request._protected or len(self.request_stack) != 1:
                return call  # an eager call of its own task in a body
            request._protected = 1  # so that the body's call of its own task gets a request
        return self.run

    def on_replace(self, sig: Any) -> Any:
        """Let what takes the task's place have its lease.

        A worker publishes that, and leaves the lease to it where it is the same task. In eager mode
        it runs within this body, which cannot give the lease back before: so it runs within it.
        """
        request = self.request
        holding = Holding.of(request)
        if holding is None:
            return super().on_replace(sig)
        if request.is_eager:
            keep_shown(self, request, sig)
            with holding.lent():
                return super().on_replace(sig)
        try:
            return super().on_replace(sig)
        except Ignore:  # it is published
            takes_over = sig.task == self.name and not is_without_lock(sig.options)
            holding.replacement = sig if takes_over else None
            raise

    def _send_again(self, run: Run, step: Resend) -> None:
        """End this run with the message on its way again; return if the broker refused it.

        A message that cannot be sent is the only copy. It stays in this process, and the claim and
        the sending are tried in turn, until the store or the broker answers. If it is acknowledged
        late, it still lies with the broker, and is left to it in the end: not at once, since each
        rejection spends a delivery where these are limited. If it was acknowledged early, or its
        queue was gone, it lies nowhere else.
        """
        try:
            run.send(step)
        except Unsent as error:
            stopping = flags.stopping()
            if not run.is_only_copy and (stopping or run.has_stayed):
                raise Reject(error, requeue=True) from error
            if stopping:
                raise LockError(
                    f"lock {run.key!r}: {step.why}, {error}, and now the worker stops;"
                    " the task has not run"
                ) from error
            run.pause(_BETWEEN_TRIES(run.unsent))
            return
        raise Ignore(f"sent again, to run in {span(step.delay)}; lock {run.key!r}: {step.why}")

    def key_of(self, *args: _P.args, **kwargs: _P.kwargs) -> str:
        """Return the key of `task.delay(*args, **kwargs)`, as the store has it: for `peek()`.

        With several locks it is that of the first. Raises `LockError` where there is none.
        """
        return keys_of_call(self, args, kwargs, {})[0]

    def keys_of(self, args: Any = None, kwargs: Any = None, **options: Any) -> list[str]:
        """Return the keys of `task.apply_async(args, kwargs, **options)`, in declared order.

        Keys that show headers or the queue of a message need these among the options.
        """
        return keys_of_call(self, args, kwargs, options)

    @property
    def lease(self) -> Lease:
        """The lease of the running body. Raises `LockError` where there is none."""
        return lease_of(self)

    @property
    def leases(self) -> list[Lease]:
        """The leases of the running body, one for each lock of the task and in their order.

        Raises `LockError` where there are none.
        """
        return leases_of(self)


_RETURNED = Ending(EndedBy.RETURNED)


def _ending_of(error: BaseException) -> Ending:
    """Say what an exception means for the message and the key."""
    said: Any = error  # celery's exceptions have no types
    if isinstance(error, Reject):
        return Ending(EndedBy.REJECTED)
    if isinstance(error, Ignore):
        return Ending(EndedBy.IGNORED)
    if isinstance(error, Retry):  # one that was raised by hand has no signature: nothing was sent
        return Ending(EndedBy.RETRIED, retry=said.sig)
    if isinstance(error, MemoryError):
        return Ending(EndedBy.OUT_OF_MEMORY)
    return Ending(EndedBy.RAISED if isinstance(error, Exception) else EndedBy.STOPPED)
