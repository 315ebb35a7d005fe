"""When a message may be a copy of one that was completed, and when to remember a completion.

Brokers deliver a message again when they doubt that its worker lives: kombu's Redis transport
after the visibility timeout, RabbitMQ when a connection breaks. A copy that comes too late would
run what has been done. So a release records the completion wherever a copy may be on its way,
and a message that may be one asks. Both cost nothing for the usual message, which is neither.
"""

from __future__ import annotations

from typing import Any

from .header import Header
from .parts import parts_of
from .transports import Transport

__all__ = ["asks_since", "remembered_for"]

_SPARE = 60.0
"""Seconds that a completion is remembered after the last moment at which a copy is expected."""


def asks_since(request: Any, header: Header, transport: Transport) -> str | None:
    """Return since when a completion would be this message's own; `None`: it is no copy.

    By the store's own mark; empty: since ever. A message that met a conflict had not been
    completed by then: an older record is of another message, sent with the same task id.
    """
    if request.is_eager or not _may_be_a_copy(request, header, transport):
        return None
    return header.first_mark or ""


def remembered_for(
    request: Any,
    header: Header,
    transport: Transport,
    *,
    acks_late: bool,
    acknowledged: float,
    connection_epoch: int,
) -> float:
    """Return for how many seconds the completion of this message is to be remembered; 0: no copy
    of it can exist.

    Args:
        acks_late: it is acknowledged as its run ends, not as that begins.
        acknowledged: when it is, by the steady clock.
        connection_epoch: how often the worker has connected by now.
    """
    at_once = acks_late and transport.redelivers_at_once
    if not (_may_be_a_copy(request, header, transport) or at_once):
        parts = parts_of(request)
        if parts is None or parts.came is None:  # a request that is not of our class
            return 0.0
        unacknowledged = acknowledged - parts.came
        reconnected = acks_late and connection_epoch != parts.epoch
        if not reconnected and unacknowledged <= transport.visibility / 2:
            return 0.0
    return transport.visibility + transport.longest_pause + _SPARE


def _may_be_a_copy(request: Any, header: Header, transport: Transport) -> bool:
    return header.publication is not None or transport.redelivered(request)
