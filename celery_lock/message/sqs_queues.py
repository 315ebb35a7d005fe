"""What SQS says of a queue of its own: asked for beside the worker's work, and seldom.

A queue has its own visibility timeout, whatever the transport options say: these count only for a
queue that kombu makes. The worker's main process asks, in a thread, when the first locked task's
message of the queue comes, and again after five minutes. The first message waits for the answer,
since it may be the one that has killed the worker before this one; but no longer than a second.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from ..model.clock import Clock, steady
from ..model.per_process import PerProcess

__all__ = ["UNREAD", "QueueFacts", "facts_of"]

logger = logging.getLogger("celery_lock")

UNREAD = 30.0
"""The visibility timeout, in seconds, of a queue that does not say its own: AWS's default."""
_FRESH = 300.0
"""Seconds for which an answer counts; kombu remembers a redrive policy for as long."""
_PATIENCE = 1.0
"""Seconds that the first message of a queue waits for the answer at most."""
_ATTRIBUTES = ["VisibilityTimeout", "RedrivePolicy"]


class QueueFacts(NamedTuple):
    """What is known of one queue."""

    visibility: float
    """After so many seconds, a message that is not acknowledged goes to another worker."""
    receives: int = 0
    """As often is a message handed out, before it goes to the dead-letter queue; 0: for ever."""


class _Known:
    """What one process knows of one queue."""

    def __init__(self) -> None:
        self.facts: QueueFacts | None = None
        self.until = float("-inf")
        self.has_warned = False
        self.is_answered = threading.Event()


_known: PerProcess[dict[str, _Known]] = PerProcess(dict)


def _in_a_thread(ask: Callable[[], None]) -> None:
    threading.Thread(target=ask, name="celery-lock-sqs", daemon=True).start()


def facts_of(
    message: Any,
    queue: str | None,
    *,
    clock: Clock = steady,
    run: Callable[[Callable[[], None]], None] = _in_a_thread,
    patience: float = _PATIENCE,
) -> QueueFacts | None:
    """Return what is known by now of the queue that a message came from; `None`: nothing.

    In the main process, which has a client already. Waits once for each queue, and never raises.
    """
    url = (message.delivery_info or {}).get("sqs_queue")
    if not url or queue is None:
        return None
    known = _known.value.setdefault(url, _Known())
    if clock() >= known.until:
        known.until = clock() + _FRESH
        try:
            channel = message.channel
            # here, not in the thread: kombu makes a client that does not exist yet
            client = channel.sqs(queue=channel.canonical_queue_name(queue))
            run(lambda: _ask(client, url, known))
            if known.facts is None:
                known.is_answered.wait(patience)
        except Exception as error:
            _warn(url, known, error)
    return known.facts


def _ask(client: Any, url: str, known: _Known) -> None:
    try:
        answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=_ATTRIBUTES)
        attributes = answer["Attributes"]
        policy = json.loads(attributes.get("RedrivePolicy") or "{}")
        known.facts = QueueFacts(
            float(attributes["VisibilityTimeout"]), int(policy.get("maxReceiveCount") or 0)
        )
    except Exception as error:
        _warn(url, known, error)
    finally:
        known.is_answered.set()


def _warn(url: str, known: _Known, error: Exception) -> None:
    """Say once what is not known. An older answer goes on counting."""
    if known.has_warned or known.facts is not None:
        return
    known.has_warned = True
    logger.warning(
        "SQS does not say how the queue %s is set up (%s): a visibility timeout of %g s is assumed,"
        " and no redrive policy; allow sqs:GetQueueAttributes",
        url,
        error,
        UNREAD,
    )
