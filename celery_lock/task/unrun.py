"""The main process frees what is kept for a message that ends without a run in its pool.

A message that is revoked, has expired, is of a task that nobody knows, or cannot be read, and one
whose process died before it adopted the lease of its publisher.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import signals
from celery.app.task import Context

from ..app.locks import locks_of
from ..app.revoking import revoked_in_wait
from ..app.unreadable import message_unreadable
from ..engine.freeing import free_soon
from ..events import Subject
from ..message.queued import Queued, queued_in, queued_of
from .ended_by import EndedBy, goes_back, is_given_out_again, is_ignored
from .settling import is_last, is_watched, left, subject_of

__all__ = ["begin", "free_after_failure", "free_deduplicated", "free_queued"]


def begin() -> None:
    """Free from now on what the messages name that no request of ours is made of."""
    signals.task_unknown.connect(_on_unknown, weak=False)
    signals.task_rejected.connect(_on_rejected, weak=False)
    signals.task_revoked.connect(_on_revoked, weak=False)
    message_unreadable.connect(_on_rejected, weak=False)
    revoked_in_wait.connect(_on_revoke_command, weak=False)


def free_queued(
    app: Any, queued: Queued, subject: Subject, gone: Callable[[], bool] = lambda: True
) -> None:
    """Free all that is kept for a message, in the background. Never raises.

    `gone`: the process that could still adopt it is no more.
    """
    try:
        locker = locks_of(app).locker
        for name in queued.names:
            free_soon(locker, name, queued.holder, subject, gone=gone)
    except Exception as error:
        left(subject, error)


def free_after_failure(
    request: Any,
    error: BaseException,
    *,
    traced: bool,
    died_by: EndedBy | None,
    gone: Callable[[], bool],
) -> None:
    """Free it after a run that has failed, or died, unless the message goes back to its queue.

    Whoever has adopted it has another holder, and keeps it.

    Args:
        traced: the run came to its end, and settled what it saw of the message itself.
        died_by: how the run died; `None`: it did not.
        gone: the process of the run is no more.

    Not after `Ignore`: the message may have been sent again, and takes the lease along.
    """
    queued, task = queued_in(request.request_dict), request.task
    if queued is None or is_ignored(error) or (traced and is_watched(task)):
        return
    back = goes_back(error, task) if died_by is None else is_given_out_again(died_by, task)
    back = back and not is_last(request.app, Context(request.request_dict))
    if not back:
        free_queued(request.app, queued, subject_of(task, queued.task_id), gone)


def free_deduplicated(request: Any) -> None:
    """Free it as a message is acknowledged that was delivered before, and maybe has not run.

    `worker_deduplicate_successful_tasks` ends one without a body, and sends no signal of that.
    """
    app, about = request.app, request.request_dict
    if not app.conf.worker_deduplicate_successful_tasks:
        return
    queued = queued_in(about)
    if queued is not None and (about.get("delivery_info") or {}).get("redelivered"):
        free_queued(app, queued, subject_of(request.task, queued.task_id))


def _on_unknown(sender: Any = None, message: Any = None, id: Any = None, **about: Any) -> None:
    _free_of_message(sender, message, str(id), str(about.get("name")))


def _on_rejected(sender: Any = None, message: Any = None, **_: Any) -> None:
    headers = getattr(message, "headers", None)
    name = headers.get("task") if isinstance(headers, dict) else None
    _free_of_message(sender, message, None, str(name or ""))


def _free_of_message(consumer: Any, message: Any, task_id: str | None, name: str) -> None:
    app = getattr(consumer, "app", None)
    queued = queued_in(getattr(message, "headers", None), task_id)
    if app is not None and queued is not None:
        free_queued(app, queued, Subject(name, queued.task_id, ""))


def _on_revoked(sender: Any = None, request: Any = None, **_: Any) -> None:
    """Also of one that is terminated: it is acknowledged, and what it has adopted is not meant."""
    queued = None if request is None else queued_of(request)
    if queued is not None:
        free_queued(sender.app, queued, subject_of(sender, queued.task_id))


def _on_revoke_command(sender: Any = None, request: Any = None, **_: Any) -> None:
    """Of one that waits for its eta: who asks for its result hears already that it will not run."""
    queued = queued_in(request.request_dict)
    if queued is not None:
        free_queued(request.app, queued, subject_of(request.task, queued.task_id))
