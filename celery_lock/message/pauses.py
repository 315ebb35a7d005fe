"""How long a message may wait for its next try, by what its broker does to one that waits."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["bounded", "longest", "visibility"]

_VISIBILITY = 3600.0  # kombu's default for Redis; SQS has 1800
_LONGEST = 450.0
"""A quarter of RabbitMQ's default `consumer_timeout`, after which it takes messages back."""


def visibility(app: Any) -> float:
    """Return the seconds after which a broker gives an unacknowledged message to another."""
    options = app.conf.broker_transport_options or {}
    return float(options.get("visibility_timeout") or _VISIBILITY)


def longest(app: Any) -> float:
    """Return the longest pause that a message may wait in a worker."""
    return min(visibility(app) / 4, _LONGEST)


def bounded(delay: float, app: Any) -> float:
    """Return `delay`, shortened so that no broker gives a waiting message to a second worker.

    A waiting message is unacknowledged. Past its visibility timeout, Redis delivers it again,
    beside the one that waits: a quarter of that time leaves room for the run itself.
    """
    delay = min(delay, longest(app))
    return math.ceil(delay) if delay > 0 and _counts_in_seconds(app) else delay


def _counts_in_seconds(app: Any) -> bool:
    """Quorum queues: RabbitMQ's delayed delivery, which a worker may use, has whole seconds."""
    queues = app.amqp.queues
    return any(
        (queues[name].queue_arguments or {}).get("x-queue-type") == "quorum" for name in queues
    )
