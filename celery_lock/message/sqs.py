"""Amazon SQS: what names a message there, how often it was received, and where it waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .pauses import Outgoing, Pause, as_eta

__all__ = [
    "GROUP",
    "MADE_BY_KOMBU",
    "client_limits",
    "group_of",
    "in_sqs",
    "is_last_after",
    "limit_after",
    "message_id",
    "received_before",
    "redeliveries",
]

GROUP = "MessageGroupId"
"""The property that keeps the messages of a FIFO queue apart: those of one group wait for each
other."""
MADE_BY_KOMBU = 1800.0
"""The visibility timeout of a queue that kombu makes, where its options say nothing."""
LONGEST_DELAY = 900.0
"""Seconds for which SQS keeps a message back at most."""
LONGEST_IN_GROUP = 2.0
"""Seconds that a message of a FIFO queue waits at most: its group waits with it."""


def message_id(request: Any) -> str | None:
    """Return the name that SQS has given to a message, and that each receive of it has.

    The delivery tag is the receipt handle, which is a new one at each receive.
    """
    name = _received(request.properties).get("MessageId")
    return name if isinstance(name, str) and name else None


def redeliveries(request: Any) -> int:
    """Return how often SQS had handed a message out before, as far as it says so."""
    count = _attribute(request.properties, "ApproximateReceiveCount")
    return max(0, int(count) - 1) if count.isdigit() else 0


def received_before(request: Any) -> bool:
    """Tell whether a message was handed out before; kombu never flags it as redelivered."""
    return redeliveries(request) > 0


def limit_after(receives: int) -> Callable[[Mapping[str, Any]], int | None]:
    """Return what tells the limit of a queue that hands a message out so often; 0: for ever.

    The first receive is no redelivery yet.
    """
    limit = receives - 1 if receives else None
    return lambda arguments: limit


def is_last_after(receives: int) -> Callable[[Any], bool]:
    """Return what tells whether such a queue hands a message out no more if it goes back there.

    kombu makes it visible again, and so it is the same message, which is counted on.
    """
    return lambda request: 0 < receives <= redeliveries(request) + 1


def group_of(properties: Mapping[str, Any]) -> str | None:
    """Return the group of a message, also of one that was not sent by kombu, where SQS says it."""
    return properties.get(GROUP) or _attribute(properties, GROUP) or None


def in_sqs(eta: Pause, queue: str | None, arguments: Mapping[str, Any]) -> Pause:
    """Return how a message of a queue of SQS waits: in the queue, where that can keep it back."""
    if queue is None or queue.endswith(".fifo"):
        return replace(eta, longest=min(eta.longest, LONGEST_IN_GROUP))
    return Pause(LONGEST_DELAY, as_delay_seconds)


def as_delay_seconds(outgoing: Outgoing, delay: float) -> None:
    """Let a message wait in its queue, which counts whole seconds; less than one in a worker."""
    seconds = int(delay)
    as_eta(outgoing, 0 if seconds else delay)
    if seconds:
        outgoing.properties["DelaySeconds"] = seconds  # kombu has known this name the longest


def client_limits(within: float) -> dict[str, Any]:
    """Return botocore's limits for a connection whose calls take no longer than that.

    By itself it gives a call that hangs 60 s for the connection and 60 s for the answer, and
    several tries.
    """
    to_connect = 0.4 * within
    return {
        "connect_timeout": to_connect,
        "read_timeout": within - to_connect,
        "retries": {"total_max_attempts": 1},
    }


def _received(properties: Any) -> Mapping[str, Any]:
    """Return the message as SQS handed it out, which kombu keeps among its properties."""
    info = (properties or {}).get("delivery_info")
    message = info.get("sqs_message") if isinstance(info, Mapping) else None
    return message if isinstance(message, Mapping) else {}


def _attribute(properties: Any, name: str) -> str:
    attributes = _received(properties).get("Attributes")
    return str(attributes.get(name) or "") if isinstance(attributes, Mapping) else ""
