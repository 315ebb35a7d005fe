"""A warning about locked tasks that Celery calls within one message of its own: without a lock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["CALLERS", "warn_of_calls"]

logger = logging.getLogger("celery_lock")

CALLERS = {"celery.map": "map()", "celery.starmap": "starmap()", "celery.chunks": "chunks()"}
"""Celery's own tasks that call another one, and what its users write for them: `chunks()` sends
a `starmap()` for each part."""

_warned: set[str] = set()


def warn_of_calls(caller: str, body: Any, is_locked: Callable[[str], bool]) -> None:
    """Warn, once for each task in a process, where a message of `caller` calls a locked task."""
    called = _called(body)
    if called is None or called in _warned or not is_locked(called):
        return
    _warned.add(called)
    logger.warning(
        "task %s: %s calls it many times within one message, and takes no lock for it; send a"
        " group of its signatures, group(task.s(x) for x in items), where each call needs its key",
        called,
        CALLERS[caller] if caller != "celery.starmap" else "starmap() or chunks()",
        extra={"task_name": called},
    )


def _called(body: Any) -> str | None:
    """Return the name of the task that is called by a message, as it is published."""
    kwargs = body.get("kwargs") if isinstance(body, Mapping) else body[1]  # of protocol 1 and 2
    signature = (kwargs or {}).get("task")
    name = signature.get("task") if isinstance(signature, Mapping) else None
    return name if isinstance(name, str) else None
