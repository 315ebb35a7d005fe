"""How long a key is kept for a message that nobody runs yet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone, tzinfo
from typing import Any

from celery.utils.time import maybe_iso8601

from ..model.durations import LONGEST

__all__ = ["left_until", "queue_life"]

_SHORTEST = 0.05
"""Seconds that a message has its key at least. Longer than it lives, a call would be answered with
the result of one that never runs."""


def queue_life(task: Any, options: Mapping[str, Any], queue_ttl: float) -> float:
    """Return the seconds for which a message that is published with these options has its key.

    They count from its eta, and end as it expires.
    """
    life, eta, countdown = queue_ttl, options.get("eta"), options.get("countdown")
    if eta is not None:
        life += max(0.0, left_until(eta, task.app.timezone) or 0.0)
    elif countdown:
        life += max(0.0, float(countdown))
    expires = options.get("expires", task.expires)
    if expires is not None:
        in_seconds = isinstance(expires, (int, float))
        left = float(expires) if in_seconds else left_until(expires, task.app.timezone)
        life = life if left is None else min(life, left)
    return min(max(life, _SHORTEST), LONGEST)


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
