"""Where a message came from: its queue, how that is declared, and which of the app's brokers.

Only the main process knows: it consumes, and queues may have been added since the pool processes
were forked. They are told in plain values, never by a URL, since a body sees a request's
properties.
"""

from __future__ import annotations

import pickle
import re
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kombu.transport.virtual.exchange import TopicExchange
from kombu.utils.url import parse_url

from ..model.made import made
from .delayed import delayed_for
from .hearing import heard_from

__all__ = [
    "Origin",
    "arguments_in",
    "by_publication",
    "declared_arguments",
    "entity_in",
    "origin_of",
]


class Origin(NamedTuple):
    """Where a message came from, as far as it is known."""

    queue: str | None
    """The queue it came from; `None` where it has none to go back to."""
    entity: bytes | None = None
    """How the consumer has declared the queue, pickled: opened only where that is asked."""
    broker: int = 0
    """The position of its broker among those that the app reads from."""


_known: weakref.WeakKeyDictionary[Any, dict[str | None, Origin]] = weakref.WeakKeyDictionary()
"""What has been seen of each consumer, by the tag of one of its queues; by `None`, of its broker.
A message may be looked at after its queue was taken from the consumer."""


def origin_of(
    message: Any, consumer: Callable[[], Any], queues: Callable[[], Mapping[str, Any]]
) -> Origin:
    """Return where `message` was taken from; without a queue if it cannot be sent back to one.

    `consumer` and `queues` are the worker's, and the queues are asked for only where the message
    does not say enough: nearly every one that Redis gives says the queue's name itself.

    AMQP says which consumer got it, and so from which queue; SQS says the queue's address, also of
    what it has moved itself, into a dead-letter queue. Other transports say only how the message
    was published; the worker's queues are searched for the one that this leads to, and with two
    of them it is the one that the transport says. A fanout queue of such a transport is no queue
    (each worker hears the message once), and a message sent to its exchange again would reach
    everybody again.
    """
    info = message.delivery_info or {}
    tag, consuming = info.get("consumer_tag"), consumer()
    seen = _seen_of(consuming)
    if tag:
        known = seen.get(tag) or _learn(consuming, tag, seen)
        if known is not None:
            return known
    url = info.get("sqs_queue")
    queue = _by_address(message, url, queues, seen) if url else None
    if queue is None:
        queue = by_publication(info, queues) or _by_hearing(message, info, queues)
    if not tag:
        return made(Origin, (queue, None, seen[None].broker))  # type: ignore[no-any-return]
    entity = None if queue is None else queues().get(queue)
    return Origin(queue, _packed(entity), seen[None].broker)


def entity_in(packed: bytes | None) -> Any:
    """Return how a queue is declared, as kombu has it; `None` where that is not known."""
    return None if packed is None else pickle.loads(packed)


def arguments_in(packed: bytes | None) -> Mapping[str, Any]:
    """Return the arguments that a queue is declared with; none where that is not known."""
    queue = entity_in(packed)
    return {} if queue is None else declared_arguments(queue)


def declared_arguments(queue: Any) -> Mapping[str, Any]:
    """Return the arguments that a queue of kombu's is declared and consumed with."""
    own = {"x-expires": queue.expires} if queue.expires else {}
    return {**own, **(queue.consumer_arguments or {}), **(queue.queue_arguments or {})}


def _seen_of(consumer: Any) -> dict[str | None, Origin]:
    if consumer is None:
        return _OF_NOBODY
    global _latest
    latest, seen = _latest
    if latest() is consumer:
        return seen
    found = _known.get(consumer)
    if found is None:
        broker = _position(getattr(consumer, "connection", None))
        found = _known[consumer] = {None: Origin(None, None, broker)}
    _latest = weakref.ref(consumer), found
    return found


_OF_NOBODY: dict[str | None, Origin] = {None: Origin(None)}

_latest: tuple[Callable[[], Any], dict[str | None, Origin]] = (lambda: None, _OF_NOBODY)
"""The consumer that was asked for last, nearly always the only one, and what was seen of it."""


def _learn(consumer: Any, tag: str, seen: dict[str | None, Origin]) -> Origin | None:
    for name, active in getattr(consumer, "_active_tags", {}).items():
        if active == tag:
            entity = getattr(consumer, "_queues", {}).get(name)
            seen[tag] = Origin(str(name), _packed(entity), seen[None].broker)
            return seen[tag]
    return None


def _packed(queue: Any) -> bytes | None:
    if queue is None:
        return None
    try:
        return pickle.dumps(queue)
    except Exception:  # arguments of the author's own that no process but this one can have
        return None


def _position(connection: Any) -> int:
    """Return which of its brokers a connection leads to now."""
    brokers = list(getattr(connection, "alt", None) or ())
    for position, url in enumerate(brokers if len(brokers) > 1 else ()):
        there = parse_url(url) if "://" in url else {"hostname": url}
        if all(_is_same(getattr(connection, name), there.get(name)) for name in _OF_A_BROKER):
            return position
    return 0


_OF_A_BROKER = ("hostname", "port", "virtual_host", "userid")


def _is_same(here: Any, there: Any) -> bool:
    # a driver writes down what it fills in, and kombu's for AMQP the address of this machine
    return there is None or here == there or (there, here) == ("localhost", "127.0.0.1")


def _by_address(
    message: Any,
    url: str,
    queues: Callable[[], Mapping[str, Any]],
    seen: dict[str | None, Origin],
) -> str | None:
    """Return the queue of SQS that has this address; `None` where there is no such."""
    if url not in seen:
        channel = getattr(message, "channel", None)
        addresses = getattr(channel, "_queue_cache", None) or {}
        names = {channel.canonical_queue_name(name): name for name in queues()} if channel else {}
        found = [name for real, name in names.items() if addresses.get(real) == url]
        if not found or seen is _OF_NOBODY:
            return str(found[0]) if found else None
        seen[url] = Origin(str(found[0]))
    return seen[url].queue


def by_publication(info: Mapping[str, Any], queues: Callable[[], Mapping[str, Any]]) -> str | None:
    """Return the queue that a message is in, by how it was published."""
    exchange, routing_key = info.get("exchange") or "", info.get("routing_key") or ""
    if exchange == "":
        return str(routing_key) or None
    waited_for = delayed_for(exchange, routing_key)
    if waited_for is not None:
        return waited_for
    found = [name for name, queue in queues().items() if _takes(queue, exchange, routing_key)]
    return str(found[0]) if len(found) == 1 else None


def _by_hearing(
    message: Any, info: Mapping[str, Any], queues: Callable[[], Mapping[str, Any]]
) -> str | None:
    """Return the queue that a transport says, if what is sent there goes there alone."""
    name = heard_from(message)
    queue = None if name is None else queues().get(name)
    exchange, routing_key = info.get("exchange") or "", info.get("routing_key") or ""
    return name if queue is not None and _takes(queue, exchange, routing_key) else None


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
