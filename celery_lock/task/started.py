"""The state STARTED (`task_track_started`), which is written as the body is entered.

Celery's tracer writes it before it calls the task. A message that only waits for its key would be
STARTED, and a copy that is dropped would leave that for ever where the result of its task was: no
backend keeps a FAILURE from being written over, and some keep no SUCCESS either.
"""

from __future__ import annotations

import os
from typing import Any

from celery import states

__all__ = ["take_over_started", "write_started"]


def take_over_started(klass: Any, *, is_locked: bool) -> None:
    """Keep the tracer of a locked task from writing it; more than once is once.

    A class that a locked one is derived from may have had it taken over before.
    """
    own = vars(klass)
    if own.get("track_started") is False and "_writes_started" not in own:
        klass._writes_started = False  # its author has said no, or the app has
    elif is_locked and klass.track_started:
        klass._writes_started, klass.track_started = True, False
    elif not is_locked and klass._writes_started:
        klass._writes_started, klass.track_started = False, True


def write_started(task: Any, request: Any) -> None:
    """Write that the body of a request starts now, as Celery's tracer does."""
    if request.is_eager or _ignores_result(task, request) or _is_aborted(task, request):
        return
    about = {"pid": os.getpid(), "hostname": request.hostname}
    task.backend.store_result(request.id, about, states.STARTED, request=request)


def _is_aborted(task: Any, request: Any) -> bool:
    """Whether an `AbortableTask` was aborted as it waited for its key: its body will ask."""
    from celery.contrib.abortable import AbortableTask  # where no worker is, nobody needs it

    return isinstance(task, AbortableTask) and bool(task.is_aborted(task_id=request.id))


def _ignores_result(task: Any, request: Any) -> bool:
    from celery.app import trace  # a process that only sends needs none of it

    by_celery = getattr(trace, "get_actual_ignore_result", None)
    if by_celery is None:  # before Celery 5.6 the tracer asks the task alone, and others the call
        return bool(task.ignore_result or request.ignore_result)
    return bool(by_celery(task, request))
