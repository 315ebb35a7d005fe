"""The request of a locked task in the worker's main process.

It puts the raw message beside the request that the pool child gets, so that the child can send
the very same message again.
"""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request
from kombu.utils.imports import symbol_by_name

from .message.raw import attach, queue_of
from .worker import consumer_of

__all__ = ["LockedRequest", "RawMessageMixin", "combined"]


class RawMessageMixin:
    """Goes over any Request class."""

    def __init__(self, message: Any, *args: Any, **options: Any) -> None:
        super().__init__(message, *args, **options)  # type: ignore[call-arg]  # a mixin
        request: Any = self
        if getattr(request.task, "_lock_terms", None) is not None:
            app = request.app
            queue = queue_of(message, consumer_of(app), app.amqp.queues.consume_from)
            attach(message, request.request_dict, queue)


class LockedRequest(RawMessageMixin, Request):
    """Celery's own request, with ours over it."""


def combined(users: Any) -> type:
    """Return a user's own Request class with ours over it."""
    base = symbol_by_name(users)
    if issubclass(base, RawMessageMixin):
        return base  # type: ignore[no-any-return]  # celery has no types
    return type(f"Locked{base.__name__}", (RawMessageMixin, base), {})
