"""What is done when all that follows a run is out: at `task_postrun`, where Celery says so.

By then the result is stored, and the call-backs and the next step of the chain are sent. A run
that leaves something to do hangs it on its request; all others cost nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from celery import signals

from .ended_by import ended_in, is_completion

__all__ = ["around", "when_all_is_out"]


class _Due(NamedTuple):
    """What is to be done for one request. It does not hold the request itself."""

    do: Callable[[], None]
    around: BaseException | None
    """What was being handled as the run began: a worker may be started in an `except`."""


_due: WeakKeyDictionary[Any, _Due] = WeakKeyDictionary()
"""By request, which goes if its tracer never sends the signal."""

_connected: list[bool] = []


def around() -> BaseException | None:
    """Return the exception that is being handled here, where it is nothing of the run's own."""
    return sys.exc_info()[1]


def when_all_is_out(
    request: Any, do: Callable[[], None], within: BaseException | None = None
) -> None:
    """Do this at the end of the request's trace, if what came of it is a completion.

    `do` never raises. `within`: what `around()` said as the run began.
    """
    if not _connected:
        signals.task_postrun.connect(_on_postrun, weak=False)
        _connected.append(True)
    _due[request] = _Due(do, within)


def _on_postrun(task: Any = None, state: str | None = None, **_: Any) -> None:
    """A receiver of a user's that raises does not keep this one from being called."""
    due = _due.pop(task.request, None) if _due else None
    if due is None:
        return
    # an exception on its way through the tracer: a stop, or a handler's `Reject`
    if around() is not due.around:
        return
    if is_completion(ended_in(state), task):
        due.do()
