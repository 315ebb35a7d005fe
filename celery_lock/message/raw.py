"""The raw message of a request: what must be known to send the very same one again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import LockError
from ..model import Decision, written
from ..model.made import made
from .as_published import show_published
from .delayed import delayed_for
from .origin import Origin, arguments_in
from .parts import Parts, give, parts_of
from .rejections import rejections_of
from .sqs import GROUP, group_of

__all__ = ["RawMessage", "attach", "came_from", "raw_from", "raw_of"]

# Written by brokers and transports on the way, for one delivery.
_NOT_HEADERS = ("redelivered", "x-delivery-count", "x-acquired-count")
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
    entity: bytes | None = None
    """How its consumer has declared the queue, pickled; `None` where that is not known."""
    broker: int = 0
    """The position of its broker among those that the app reads from."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments that its queue is declared with, as far as they are known."""
        return arguments_in(self.entity)

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


def attach(
    message: Any,
    request_dict: dict[str, Any],
    origin: Origin,
    *,
    nonce: str,
    came: float,
    epoch: int,
    facts: tuple[Any, ...] | None = None,
) -> None:
    """Give the parts of `message` with its request, without changing the message.

    One that has waited in RabbitMQ came out of an exchange that leads nowhere without our key, and
    with a history of expiries: what its body sends by the same way, a retry, is to go where it
    would have gone, and to be no message that has been there before.
    """
    queue, entity, broker = origin
    body, headers = message.body, message.headers
    own = (body, message.content_type, message.content_encoding, headers, queue, entity, broker)
    rejected = rejections_of(headers, queue)
    give(request_dict, message.properties, made(Parts, (*own, nonce, came, epoch, rejected, facts)))
    info = message.delivery_info or {}
    exchange = info.get("exchange")
    if exchange and delayed_for(exchange, info.get("routing_key")) is not None:
        request_dict["delivery_info"].update(exchange="", routing_key=origin.queue)
        for name in [one for one in request_dict if one.startswith(_NOT_HEADERS_PREFIX)]:
            del request_dict[name]
    show_published(request_dict, queue)


def came_from(request: Any) -> str | None:
    """Return the queue of a running request; `None` where it is not known."""
    parts = parts_of(request)
    return None if parts is None else parts.queue


def raw_of(request: Any) -> RawMessage:
    """Return the raw message of a running request.

    Raises `LockError` where the task's requests are not of our class: a custom `Strategy` that
    makes requests of its own, or a request that no worker made.
    """
    parts = parts_of(request)
    if parts is None:
        raise LockError(
            f"the raw message of task {request.id} is not known, so it cannot be sent again;"
            " let the task's Request class be the one that LockedTask made, or use"
            f" {written(kind for kind in Decision.kinds if not kind.sends)}"
        )
    return raw_from(parts, request.properties)


def raw_from(parts: Parts, properties: Mapping[str, Any] | None) -> RawMessage:
    """Return the raw message that these are the parts of."""
    return RawMessage(
        parts.body,
        parts.content_type,
        parts.content_encoding,
        parts.headers or {},
        properties or {},
        parts.queue,
        parts.entity,
        parts.broker,
    )
