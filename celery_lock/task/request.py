"""The request of a locked task in the worker's main process.

It gives the pool process the raw message beside the request, so that this one can send the very
same message again; and it frees the key of a child that died and cannot do so itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]  # not in stubs
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.request import Request
from kombu.utils.imports import symbol_by_name

from ..app import notes
from ..app.bound import BoundLock
from ..app.flags import connection_epoch, follow_events
from ..app.locks import AppLocks, locks_of
from ..app.notes import is_gone as _is_gone
from ..app.worker import forks
from ..errors import LockError
from ..events import Subject
from ..message import Header, Parts, Unsent, new_nonce, of_request, record_life
from ..message.carried import name_its_task
from ..message.origin import origin_of
from ..message.queued import names_lease
from ..message.raw import attach
from ..message.rejections import note_rejection
from ..model import Completion, Holder, Scope
from ..model.clock import steady
from .ended_by import EndedBy, is_completion
from .settling import watch
from .unrun import free_after_failure, free_deduplicated
from .wants import wants_of

__all__ = ["LockedRequest", "LockedRequestMixin", "combined"]

logger = logging.getLogger("celery_lock")

_DEATHS = (WorkerLostError, Terminated, TimeLimitExceeded, SystemExit, KeyboardInterrupt)
"""What Celery says of a child that has ended, or is about to, and not only of its task."""

_DYING = 60.0
"""Seconds for which a child that is being killed is waited for, besides its lease's own."""


class LockedRequestMixin:
    """Our part of a request. It stands over any Request class, and so is asked first."""

    _fails = False

    def __init__(self, message: Any, *args: Any, **options: Any) -> None:
        super().__init__(message, *args, **options)  # type: ignore[call-arg]  # a mixin
        request: Any = self
        task, about = request.task, request.request_dict
        if getattr(task, "_bound_locks", ()):
            locks: AppLocks = task._app_locks
            follow_events(getattr(request, "eventer", None))
            name_its_task(about)
            origin = origin_of(
                message, locks.consumer, lambda: request.app.amqp.queues.consume_from
            )
            reads = locks.transport.reads
            attach(
                message,
                about,
                origin,
                facts=None if reads is None else reads(message, origin.queue),
                nonce=new_nonce(),
                came=steady(),
                epoch=connection_epoch(),
            )
        if names_lease(about):
            watch()  # where the bodies run in this process

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        """Free the key of a dead child, before Celery sends its message to the next one."""
        error, died = _unwrapped(exc_info), False
        self._fails = True
        if isinstance(error, _DEATHS):
            _free_for_the_dead(self, error)
            died = True
        elif isinstance(getattr(error, "reason", None), Unsent):
            _note_our_rejection(self)
        free_after_failure(
            self,
            error,
            traced=bool(options.get("return_ok")),
            died_by=_died_by(self, error) if died else None,
            gone=_gone(self) if died else lambda: True,
        )
        return super().on_failure(exc_info, *args, **options)  # type: ignore[misc]  # a mixin

    def acknowledge(self) -> None:
        """Free what is kept for a message that Celery ends since its task was successful before."""
        request: Any = self
        if not (self._fails or request.acknowledged) and request.task.acks_late:
            free_deduplicated(request)
        super().acknowledge()  # type: ignore[misc]  # a mixin

    def revoked(self) -> bool:
        """Free the key that is kept for a retry, if the retry is revoked or has expired."""
        revoked: bool = super().revoked()  # type: ignore[misc]  # a mixin
        if revoked:
            _free_for_the_revoked(self)
        return revoked


class LockedRequest(LockedRequestMixin, Request):
    """Celery's own request, with ours over it."""


def combined(users: Any) -> type:
    """Return a user's own Request class with ours over it."""
    base = symbol_by_name(users)
    if issubclass(base, LockedRequestMixin):
        return base  # type: ignore[no-any-return]  # celery has no types
    return type(f"Locked{base.__name__}", (LockedRequestMixin, base), {})


def _bound_locks_of(request: Any) -> tuple[BoundLock, ...]:
    bound: tuple[BoundLock, ...] = getattr(request.task, "_bound_locks", ())
    return bound


def _unwrapped(exc_info: Any) -> Any:
    error: Any = exc_info.exception
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def _note_our_rejection(request: Any) -> None:
    parts: Parts = request.request_dict["properties"].parts
    note_rejection(parts.headers, parts.queue)


def _free_for_the_dead(request: Any, error: BaseException) -> None:
    """Free what a dead child had claimed, as it has noted that itself, and tell its completion.

    Nothing is computed anew: a key may show what only the child knew, a tenant or a variable of
    its context. Never raises: what Celery does about the death must go on.
    """
    pid = request.worker_pid
    if not _bound_locks_of(request) or pid is None or not forks(request.app):
        return  # in a thread or a greenlet of this process `finally` has run
    try:
        noted = notes.claims_of(pid)
        if not noted or Holder.parse(noted[0].holder).nonce != f"{_parts_of(request).nonce}.":
            return  # it died before it claimed the key of this delivery
        locks = locks_of(request.app)
        completion = _completion_of(request, noted[0], error, locks)
        for claim in noted:
            if claim.keys is None:
                raise LockError("its key is too long to be noted")
            for key in claim.keys:
                locks.locker.free(
                    key,
                    claim.holder,
                    _subject_of(claim, locks),
                    for_=_ttl_of(claim, locks) + _DYING,
                    gone=lambda: _is_gone(pid),
                    completion=completion,
                    patient=claim is noted[-1] and key is claim.keys[-1],
                )
                completion = None  # with the first key of the delivery itself
    except Exception as why:
        _left_to_its_ttl(request, why)


def _completion_of(
    request: Any, claim: notes.Noted, error: BaseException, locks: AppLocks
) -> Completion | None:
    """Return what the child cannot tell: the end of a message that Celery acknowledges now.

    Whether a copy has been seen only the store knows, and children die seldom: it is told always.
    """
    if claim.keys is None or not claim.publication:  # (its message may be on its way again)
        return None
    if not is_completion(_ended_by(request, error), request.task):
        return None
    context = request._context
    sent_on = Header.of(context).was_sent_again
    life = record_life(locks.transport_of(context), sent_on=sent_on)
    return Completion(claim.keys[0], claim.publication, life)


def _ended_by(request: Any, error: BaseException) -> EndedBy:
    if isinstance(error, TimeLimitExceeded):
        return EndedBy.TIME_LIMIT
    if _is_stopped(request):
        return EndedBy.STOPPED  # the message goes back to the broker
    if isinstance(error, Terminated):
        return EndedBy.REVOKED
    return EndedBy.CHILD_LOST if isinstance(error, WorkerLostError) else EndedBy.STOPPED


def _died_by(request: Any, error: BaseException) -> EndedBy:
    """Return how a run died, as Celery will see it: it takes an exit of the child for a loss."""
    ended = _ended_by(request, error)
    if ended is not EndedBy.STOPPED or not isinstance(error, (SystemExit, KeyboardInterrupt)):
        return ended
    if getattr(request, "_already_revoked", False):
        return EndedBy.REVOKED
    return ended if _is_stopped(request) else EndedBy.CHILD_LOST


def _is_stopped(request: Any) -> bool:
    asked: Any = state.should_terminate  # an exit status, so 0 is a stop as well
    return getattr(request, "_already_cancelled", False) or not (asked is None or asked is False)


def _gone(request: Any) -> Callable[[], bool]:
    """Return what says that no run of this delivery can adopt a lease any more."""
    pid: int | None = request.worker_pid if forks(request.app) else None
    return lambda: pid is None or _is_gone(pid)


def _parts_of(request: Any) -> Parts:
    parts: Parts = request.request_dict["properties"].parts
    return parts


def _subject_of(claim: notes.Noted, locks: AppLocks) -> Subject:
    bound = locks.bound.get(claim.task)
    template = bound[0].key.template if bound else ""
    return Subject(claim.task, Holder.parse(claim.holder).task_id, template)


def _ttl_of(claim: notes.Noted, locks: AppLocks) -> float:
    bound = locks.bound.get(claim.task)
    return max((lock.ttl for lock in bound or ()), default=0.0)


def _free_for_the_revoked(request: Any) -> None:
    """Free the keys that are kept for a retry, or a message, which will not run. Never raises.

    They are those that the retry carries. Only one of the release before carries none.
    """
    bounds, context = _bound_locks_of(request), request._context
    retry_no = context.retries or 0
    lasting = [bound for bound in bounds if bound.across_retries]
    # or its run has given it back: that is not said in the message that the broker has
    came_back = (context.delivery_info or {}).get("redelivered") and any(
        bound.scope is Scope.UNTIL_FINISHED for bound in lasting
    )
    if not lasting or not (retry_no or came_back):
        return
    try:
        task, header = request.task, of_request(context, Header.of(context))
        names = header.all_kept or ([header.kept] if header.kept else None)
        if names is None:
            args, kwargs = tuple(request.args or ()), dict(request.kwargs or {})
            wants = wants_of(task.name, bounds, header, args, kwargs)
            names = [want.name for want in wants if want.bound.across_retries]
        holder = str(Holder.for_retry(request.id, retry_no))
        subject = Subject(task.name, request.id, lasting[0].key.template)
        for name in names:
            locks_of(request.app).locker.free(
                name,
                holder,
                subject,
                for_=lasting[0].ttl + _DYING,
                patient=name is names[-1],
            )
    except Exception as error:
        _left_to_its_ttl(request, error)


def _left_to_its_ttl(request: Any, error: Exception) -> None:
    logger.error(
        "the key of task %s[%s] could not be freed: %s; it is free when its lease has run out",
        request.task.name,
        request.id,
        error,
        exc_info=None if isinstance(error, LockError) else error,
    )
