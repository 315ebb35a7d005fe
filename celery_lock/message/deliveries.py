"""How often a message was delivered, counted over all messages that were made of it.

What we send again is a new message to its broker, which begins to count it anew. A body that
kills its worker meets its own dead lease when it comes back, and is sent again for that: without
a sum it would kill workers for ever, where a plain task ends in the dead-letter queue.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ..model.clock import Clock, steady
from .header import Header
from .origin import arguments_in
from .parts import parts_of

__all__ = [
    "UNSEEN",
    "by_flag",
    "complain",
    "counted_by_rabbit",
    "deliveries_of",
    "is_last_in_rabbit",
    "limit_in_rabbit",
    "never_last",
    "no_limit",
]

logger = logging.getLogger("celery_lock")

UNSEEN = 20
"""Deliveries after which a message is complained of where no limit can be seen: RabbitMQ's own
from its fourth version on."""
_EVERY = 60.0
"""Seconds between two complaints of one process."""

_BY_THE_BROKER = ("rejected", "delivery_limit")


def deliveries_of(request: Any, header: Header, counted: int) -> int:
    """Return how often a message had been delivered before this delivery.

    `counted`: what the broker says of the message that it has now. One that came back out of a
    dead-letter queue begins anew, as a plain one does; we send on no trace of an earlier death.
    """
    parts = parts_of(request)
    counted = max(0, counted - (0 if parts is None else parts.rejected))
    died = any(
        isinstance(death, Mapping) and death.get("reason") in _BY_THE_BROKER
        for death in request.get("x-death") or ()
    )
    return counted if died else header.deliveries + counted


def by_flag(request: Any) -> int:
    """Return 1 for a message that was delivered before, where its broker says no more."""
    return int(bool((request.delivery_info or {}).get("redelivered")))


def counted_by_rabbit(request: Any) -> int:
    """Return the count of a quorum queue, which a classic one does not have."""
    count = request.get("x-delivery-count")
    return count if isinstance(count, int) else by_flag(request)


def no_limit(arguments: Mapping[str, Any]) -> None:
    """Return no limit: the broker has none that could be seen here."""


def limit_in_rabbit(arguments: Mapping[str, Any]) -> int | None:
    """Return after how many deliveries a quorum queue gives a message to its dead-letter queue.

    `None` where it is declared without one of both: then the message would be dropped.
    """
    return None if arguments.get("x-dead-letter-exchange") is None else _declared_limit(arguments)


def never_last(request: Any) -> bool:
    """Return that a message which goes back to its queue is given out again, for all one knows."""
    return False


def is_last_in_rabbit(request: Any) -> bool:
    """Tell whether a quorum queue gives a message out no more if it goes back there now.

    It is a dead letter then, or dropped. By the broker's own count: a sum that is above the limit
    ends a message as it comes.
    """
    parts = parts_of(request)
    limit = None if parts is None else _declared_limit(arguments_in(parts.entity))
    return limit is not None and counted_by_rabbit(request) >= limit


def _declared_limit(arguments: Mapping[str, Any]) -> int | None:
    limit = arguments.get("x-delivery-limit")
    is_counted = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0
    return limit if is_counted else None


class _Complaints:
    def __init__(self) -> None:
        self.next_at = 0.0


_complaints = _Complaints()


def complain(task: str, task_id: str, deliveries: int, clock: Clock = steady) -> None:
    """Say that a message comes again and again, at most once a minute."""
    now = clock()
    if deliveries <= UNSEEN or now < _complaints.next_at:
        return
    _complaints.next_at = now + _EVERY
    logger.error(
        "the message of task %s[%s] was delivered %d times and has not come to its end: its body"
        " may kill its worker. Its queue is declared without a delivery limit and a dead-letter"
        " exchange that could be seen here, so it goes on",
        task,
        task_id,
        deliveries,
    )
