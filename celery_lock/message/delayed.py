"""RabbitMQ's native delayed delivery, as Celery sets it up, for a message of one queue.

Celery binds neither queues behind direct exchanges nor queues that were added later, and what it
binds reaches every queue of that exchange and key. So our messages have a key of their own there,
to which we bind the queue ourselves.
"""

from __future__ import annotations

from typing import Any

from kombu.transport.native_delayed_delivery import (
    CELERY_DELAYED_DELIVERY_EXCHANGE,
    MAX_LEVEL,
    calculate_routing_key,
    level_name,
)

__all__ = [
    "ENTRANCE",
    "EXIT",
    "LONGEST_NAME",
    "binding_key",
    "can_carry",
    "delayed_for",
    "delayed_key",
]

ENTRANCE = level_name(MAX_LEVEL)
"""The exchange that a delayed message is sent to."""
EXIT = CELERY_DELAYED_DELIVERY_EXCHANGE
"""The exchange that it comes out of when its time is over."""

_MARK = "celery_lock"
_BYTES = 255
"""The most that AMQP allows for a routing key."""
LONGEST_NAME = _BYTES - 2 * (MAX_LEVEL + 1) - len(_MARK) - 1
"""The bytes of a queue's name that there is room for in that."""


def binding_key(queue: str) -> str:
    """Return the key under which a queue gets our delayed messages."""
    return f"#.{_MARK}.{queue}"


def delayed_key(queue: str, seconds: int) -> str:
    """Return the routing key of a message that is to come into a queue after so many seconds."""
    key: str = calculate_routing_key(seconds, f"{_MARK}.{queue}")
    return key


def can_carry(queue: str) -> bool:
    """Whether a queue's name can be part of a key that leads to that queue alone."""
    words = set(queue.split("."))
    return not words & {"*", "#", _MARK} and len(queue.encode()) <= LONGEST_NAME


def delayed_for(exchange: Any, routing_key: Any) -> str | None:
    """Return the queue that a message of ours was delayed for; `None`: it is none of those."""
    if exchange != EXIT:
        return None
    return str(routing_key).partition(f".{_MARK}.")[2] or None
