"""Hearing of messages that cannot be read: Celery acknowledges them, and sends no signal."""

from __future__ import annotations

from typing import Any

from celery.utils.dispatch import Signal

__all__ = ["hear_unreadable", "message_unreadable"]

message_unreadable = Signal(name="message_unreadable", providing_args=["message"])
"""Sent for each as `task_rejected` is, with the consumer as sender and the raw `message`."""


def hear_unreadable(consumer: Any) -> None:
    """Hear of those that a worker's consumer ends; more than once is once."""
    ends = getattr(consumer, "on_decode_error", None)
    if ends is None or hasattr(ends, "_celery_lock"):
        return

    def on_decode_error(message: Any, exc: Any) -> Any:
        try:
            return ends(message, exc)
        finally:
            message_unreadable.send(sender=consumer, message=message)

    on_decode_error._celery_lock = True  # type: ignore[attr-defined]  # a function has any
    consumer.on_decode_error = on_decode_error
