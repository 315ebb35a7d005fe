"""Which queue one of kombu's virtual transports takes a message from, which no message says."""

from __future__ import annotations

from typing import Any

from kombu.transport.virtual import Transport as Virtual

__all__ = ["hear_queues", "heard_from"]

_QUEUE = "_celery_lock_queue"


def hear_queues(consumer: Any) -> None:
    """Let the transport of a worker's consumer say which queue it delivers from.

    It calls its consumers by queue, and the message that they get says no more than how it was
    published: with a topic that leads into two queues of one worker, nobody could tell.
    """
    transport = _transport_of(consumer)
    if not isinstance(transport, Virtual) or hasattr(transport, _QUEUE):
        return
    own = transport._deliver

    def deliver(message: Any, queue: Any) -> None:
        setattr(transport, _QUEUE, queue)
        try:
            own(message, queue)
        finally:
            setattr(transport, _QUEUE, None)

    setattr(transport, _QUEUE, None)
    setattr(transport, "_deliver", deliver)  # noqa: B010  # mypy takes it for the class's


def heard_from(message: Any) -> str | None:
    """Return the queue of a message that is delivered just now; `None` where nobody knows."""
    queue = getattr(_transport_of(message), _QUEUE, None)
    return None if queue is None else str(queue)


def _transport_of(of: Any) -> Any:
    return getattr(getattr(of, "channel", None), "connection", None)
