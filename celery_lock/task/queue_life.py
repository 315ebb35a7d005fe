"""How long a key is kept for a message that nobody runs yet, and whether that is long enough."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from datetime import datetime, timezone, tzinfo
from typing import Any

from celery.utils.time import maybe_iso8601

from ..model.durations import LONGEST

__all__ = ["ends_early", "left_until", "queue_life", "retry_life", "warn_of_pause"]

logger = logging.getLogger("celery_lock")

_SHORTEST = 0.05
"""Seconds that a message has its key at least. Longer than it lives, a call would be answered with
the result of one that never runs."""


def queue_life(task: Any, options: Mapping[str, Any], queue_ttl: float) -> float:
    """Return the seconds for which a message that is published with these options has its key.

    They count from its eta, and end as it expires.
    """
    life = queue_ttl
    if "eta" in options or "countdown" in options:
        life += _pause(options, task.app.timezone)
    return min(max(min(life, _left(task, options)), _SHORTEST), LONGEST)


def retry_life(task: Any, options: Mapping[str, Any], queue_ttl: float) -> float:
    """Return the seconds for which a retry, or what takes a task's place, has its key.

    They count from now, and end as it expires, whatever the message says that it follows.
    """
    return max(1.0, min(queue_ttl, _left(task, options)))


def _left(task: Any, options: Mapping[str, Any]) -> float:
    """Return the seconds until a message that is published with these options expires."""
    expires = options.get("expires", task.expires)
    if isinstance(expires, (int, float)):
        return float(expires)
    left = None if expires is None else left_until(expires, task.app.timezone)
    return math.inf if left is None else left


def _pause(options: Mapping[str, Any], zone: tzinfo) -> float:
    """Return the seconds after which a message that is published with these options may run."""
    eta, countdown = options.get("eta"), options.get("countdown")
    if eta is not None:
        return max(0.0, left_until(eta, zone) or 0.0)
    return max(0.0, float(countdown or 0.0))


def warn_of_pause(task: Any, key: str, queue_ttl: float, options: Mapping[str, Any]) -> None:
    """Warn of a retry that comes, by its options, when its key is not kept for it any more."""
    pause = _pause(options, task.app.timezone)
    if pause >= queue_ttl:
        logger.warning("task %s, lock %r: %s", task.name, key, _early(pause, queue_ttl))


def ends_early(task_class: Any, queue_ttl: float) -> str | None:
    """Say that the pause which a task class declares for its retries outlives the key that is
    kept meanwhile; `None`: it declares none, or a shorter one."""
    by_itself = getattr(task_class, "autoretry_for", ())
    options = getattr(task_class, "retry_kwargs", None) or {}
    pause = options.get("countdown") if by_itself else None
    if pause is None and by_itself and getattr(task_class, "retry_backoff", False):
        pause = getattr(task_class, "retry_backoff_max", 600)
    if pause is None and (by_itself or "default_retry_delay" in _declared(task_class)):
        pause = task_class.default_retry_delay
    if not isinstance(pause, (int, float)) or pause < queue_ttl:
        return None
    return _early(float(pause), queue_ttl)


def _declared(task_class: Any) -> set[str]:
    own = [vars(klass) for klass in task_class.__mro__ if klass.__module__ != "celery.app.task"]
    return {name for each in own for name in each}


def _early(pause: float, queue_ttl: float) -> str:
    return (
        f"a retry after a countdown of {pause:g} s comes later than queue_ttl={queue_ttl:g} s, for"
        " which its key is kept for it: another task may come in between; write a longer queue_ttl,"
        " or a shorter countdown"
    )


def left_until(moment: Any, zone: tzinfo) -> float | None:
    """Return the seconds until a moment as messages write it; `None`: it is no moment.

    `zone`: of a moment that names none.
    """
    try:
        until = maybe_iso8601(moment)
    except (TypeError, ValueError):  # whoever publishes it says so
        return None
    if not isinstance(until, datetime):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=zone)
    return (until - datetime.now(timezone.utc)).total_seconds()
