"""The raw message of a request: what must be known to send the very same one again.

A pool child is given the task's arguments and the headers in one flat dict, but neither which
of these were headers nor the bytes of the body. So the main process puts the raw parts beside
them, into the request's `properties`. They are the same objects that cross the pipe anyway:
pickle writes each once, and this costs a few bytes, not another body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kombu.transport.virtual.exchange import TopicExchange

from ..errors import LockError
from ..model import Decision, written
from .sqs import GROUP, group_of

__all__ = ["RAW", "RawMessage", "attach", "came_from", "queue_of", "raw_of"]

RAW = "celery_lock_raw"

# Written by brokers and transports on the way, for one delivery.
_NOT_HEADERS = ("redelivered", "x-delivery-count")
_NOT_HEADERS_PREFIX = ("x-death", "x-first-death", "x-last-death")
# The only properties that belong to the sender; all others are the transport's own.
_PROPERTIES = (
    "correlation_id",
    "reply_to",
    "message_id",
    "type",
    "app_id",
    "timestamp",
    "priority",
    "delivery_mode",
)
# And SQS's group. Never its deduplication id: SQS takes nothing of the same one for five minutes.


@dataclass(frozen=True)
class RawMessage:
    """A message as the broker delivered it, its body already decompressed."""

    body: Any
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    queue: str | None
    """The queue it came from; `None` where it has none to go back to."""

    def of_its_sender(self) -> RawMessage:
        """Return it without what brokers and transports wrote into it for one delivery."""
        headers = {
            name: value
            for name, value in self.headers.items()
            if name not in _NOT_HEADERS and not name.startswith(_NOT_HEADERS_PREFIX)
        }
        given = {name: self.properties.get(name) for name in _PROPERTIES}
        given[GROUP] = group_of(self.properties)
        properties = {name: value for name, value in given.items() if value is not None}
        return replace(self, headers=headers, properties=properties)


def attach(message: Any, request_dict: dict[str, Any], queue: str | None) -> None:
    """Put the raw parts of `message` into `request_dict`, without changing the message."""
    request_dict["properties"] = {
        **(message.properties or {}),
        RAW: (message.body, message.content_type, message.content_encoding, message.headers, queue),
    }


def came_from(request: Any) -> str | None:
    """Return the queue of a running request; `None` where it is not known."""
    parts = (request.properties or {}).get(RAW)
    return None if parts is None else parts[-1]


def raw_of(request: Any) -> RawMessage:
    """Return the raw message of a running request.

    Raises `LockError` where the task's requests are not of our class: a custom `Strategy` that
    makes requests of its own, or a request that no worker made.
    """
    properties = dict(request.properties or {})
    parts = properties.pop(RAW, None)
    if parts is None:
        raise LockError(
            f"the raw message of task {request.id} is not known, so it cannot be sent again;"
            " let the task's Request class be the one that LockedTask made, or use"
            f" {written(kind for kind in Decision.kinds if not kind.sends)}"
        )
    body, content_type, content_encoding, headers, queue = parts
    return RawMessage(body, content_type, content_encoding, headers or {}, properties, queue)


def queue_of(
    message: Any, consumer: Callable[[], Any], queues: Callable[[], Mapping[str, Any]]
) -> str | None:
    """Return the queue that `message` was taken from, `None` if it cannot be sent back to one.

    `consumer` and `queues` are the worker's, and are asked for only where the message does not
    say enough: nearly every one that Redis gives says the queue's name itself.

    AMQP says which consumer got it, and so from which queue. Other transports say only how it
    was published; the worker's queues are searched for the one that this leads to, and with two
    of them it could be either. A fanout queue of such a transport is no queue (each worker hears
    the message once), and a message sent to its exchange again would reach everybody again.
    """
    info = message.delivery_info or {}
    tag = info.get("consumer_tag")
    if tag:
        for name, active in getattr(consumer(), "_active_tags", {}).items():
            if active == tag:
                return str(name)
    exchange, routing_key = info.get("exchange") or "", info.get("routing_key") or ""
    if exchange == "":
        return str(routing_key) or None
    found = [name for name, queue in queues().items() if _takes(queue, exchange, routing_key)]
    return str(found[0]) if len(found) == 1 else None


def _takes(queue: Any, exchange: str, routing_key: str) -> bool:
    """What is sent to this exchange with this routing key comes into this queue, as kombu's own
    transports have it."""
    bindings = [(queue.exchange, queue.routing_key)]
    bindings += [(binding.exchange, binding.routing_key) for binding in queue.bindings]
    for bound_to, key in bindings:
        if bound_to is None or bound_to.name != exchange:
            continue
        if bound_to.type == "direct" and key == routing_key:
            return True
        if bound_to.type == "topic":
            pattern = TopicExchange(None).key_to_pattern(key or "")
            if re.match(pattern, routing_key):
                return True
    return False
