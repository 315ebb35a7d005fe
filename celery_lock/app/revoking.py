"""Hearing of messages that are revoked while they wait in a worker: Celery tells that later."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any
from weakref import WeakSet

from celery.utils.dispatch import Signal
from celery.utils.functional import maybe_list

__all__ = ["hear_revoked", "revoked_in_wait"]

revoked_in_wait = Signal(name="revoked_in_wait", providing_args=["request"])
"""Sent for each, in the main process of its worker; `request` is the one of that process."""

_heard_of: WeakSet[Any] = WeakSet()
"""The requests that were heard of: they stay with the worker until their eta, and each command
looks at all that are there."""


def hear_revoked() -> None:
    """Hear of those that the commands revoke from now on; more than once is once.

    Celery sends `task_revoked` when such a message would have been started. Until its eta that may
    be hours, while who asks for its result is answered at once that it is revoked.
    """
    from celery.worker.control import Panel  # nobody but a worker needs it

    for command in ("revoke", "revoke_by_stamped_headers", "terminate"):
        does = Panel.data.get(command)
        if does is not None and not hasattr(does, "_celery_lock"):
            Panel.data[command] = _heard(does)


def _heard(does: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(does)
    def command(*args: Any, **kwargs: Any) -> Any:
        try:
            return does(*args, **kwargs)
        finally:
            for request in _revoked():
                _heard_of.add(request)
                revoked_in_wait.send(sender=request.task, request=request)

    command._celery_lock = True  # type: ignore[attr-defined]  # a function has any
    return command


def _revoked() -> Iterable[Any]:
    """Return the requests that have not begun, and will not."""
    from celery.worker import state  # by now it is there

    return [
        each
        for each in _in_wait(state)
        if each not in state.active_requests
        and each not in _heard_of
        and (each.id in state.revoked or _is_stamped(each, state))
    ]


def _in_wait(state: Any) -> list[Any]:
    """Return the requests that wait for their eta (since Celery 5.7), or for the pool.

    Its list by id lacks a retry that came before its first run ended: that took it out.
    """
    sets = (getattr(state, name, None) for name in ("scheduled_requests", "reserved_requests"))
    # copied in one step: pool threads change them meanwhile
    refs = [ref for each in sets if each is not None for ref in each.data.copy()]
    return [request for ref in refs if (request := ref()) is not None]


def _is_stamped(request: Any, state: Any) -> bool:
    """One of its stamps is revoked, as Celery finds it."""
    stamps = getattr(request, "stamps", None) or {}
    for header in getattr(request, "stamped_headers", None) or ():
        revoked = set(maybe_list(state.revoked_stamps.get(header)) or ())
        if revoked.intersection(maybe_list(stamps.get(header)) or ()):
            return True
    return False
