"""Hearing of messages that cannot be read: Celery acknowledges them, and sends no signal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["hear_unreadable", "receive_unreadable"]

_receivers: list[Callable[[Any, Any], None]] = []


def receive_unreadable(receiver: Callable[[Any, Any], None]) -> None:
    """Call this for each from now on, with the consumer and the message."""
    _receivers[:] = [receiver]


def hear_unreadable(consumer: Any) -> None:
    """Hear of those that a worker's consumer ends; more than once is once."""
    ends = getattr(consumer, "on_decode_error", None)
    if ends is None or hasattr(ends, "_celery_lock"):
        return

    def on_decode_error(message: Any, exc: Any) -> Any:
        try:
            return ends(message, exc)
        finally:
            for receive in _receivers:
                receive(consumer, message)

    on_decode_error._celery_lock = True  # type: ignore[attr-defined]  # a function has any
    consumer.on_decode_error = on_decode_error
