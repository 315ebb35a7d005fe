"""When a message may be a copy of one that was completed, and when to remember a completion.

Brokers deliver a message again when they doubt that its worker lives: kombu's Redis transport
after the visibility timeout, RabbitMQ when a connection breaks. A copy that comes too late would
run what has been done, and so would a first delivery that comes later than its copy. Who asks,
who records and for how long is said by the transport's row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .header import Header
from .parts import parts_of
from .transports import Transport

__all__ = ["asks_since", "is_recorded", "record_life"]

_SPARE = 960.0
"""Seconds that a completion is remembered after the last moment at which a copy is expected: two
of the longest pauses, and a minute."""
_A_DAY = 86_400.0
"""Seconds for which, once the message was sent again: it may lie behind a long backlog."""


def asks_since(
    request: Any, header: Header, transport: Transport, connection_epoch: Callable[[], int]
) -> str | None:
    """Return since when a completion would be this message's own; `None`: it is no copy.

    By the store's own mark; empty: since ever. A message that met a conflict had not been
    completed by then: an older record is of another message, sent with the same task id.

    `connection_epoch`: returns how often the worker has connected by now.
    """
    if request.is_eager:
        return None
    if (
        transport.asks_always
        # named where it was published: no other message has its name, and a worker that stood
        # still may not know yet that the broker has given its messages to others
        or header.publication is not None
        or header.beat is not None  # other beats may have published the same tick
        or transport.redelivered(request)
    ):
        return header.first_mark or ""
    parts = parts_of(request)
    return None if parts is None or parts.epoch == connection_epoch() else ""


def is_recorded(
    request: Any,
    header: Header,
    transport: Transport,
    *,
    sent_on: bool,
    acks_late: bool,
    acknowledged: float,
    connection_epoch: int,
    stopping: bool,
) -> bool:
    """Whether the completion of this message is recorded though no copy of it has been seen.

    Args:
        sent_on: it was sent again, or that was tried; whatever the answer was.
        acks_late: it is acknowledged as its run ends, not as that begins.
        acknowledged: when it is, by the steady clock.
        connection_epoch: how often the worker has connected by now.
        stopping: the worker has been asked to stop.
    """
    if sent_on or (acks_late and transport.records_late) or header.beat is not None:
        return True
    if transport.redelivered(request) or transport.is_guess:
        return True
    # a worker that stops may be killed, or miss what its pool says, before it acknowledges; what it
    # has goes back to the broker then
    if stopping:
        return True
    parts = parts_of(request)
    if parts is None or parts.came is None:  # a request that is not of our class
        return False
    # the broker has lost the acknowledgement, or the worker the connection to send it by
    reconnected = connection_epoch != parts.epoch
    return reconnected or acknowledged - parts.came > transport.visibility / 2


def record_life(transport: Transport, *, sent_on: bool) -> float:
    """Return for how many seconds the completion of a message is remembered."""
    life = transport.copies_within + _SPARE
    return max(life, _A_DAY) if sent_on else life
