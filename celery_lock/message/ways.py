"""The ways by which a message can come back to its queue, the best one first."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .pauses import Outgoing, Pause

__all__ = ["Way", "can_declare", "ways"]


class Way(NamedTuple):
    """One way."""

    name: str
    """What the broker refuses, when it refuses this."""
    outgoing: Outgoing
    is_delayed: bool = False
    """The message waits in the broker, and comes out of that to its queue by a key of ours."""
    declares: bool = False
    """Where no queue takes the message, its queue is declared."""


def ways(
    outgoing: Outgoing, pause: Pause, delay: float, entity: Any, others: Mapping[str, Any]
) -> Iterator[Way]:
    """Yield the ways of a message.

    Args:
        outgoing: the message, as it goes to the default exchange without a pause.
        pause: how messages wait for its queue.
        delay: seconds that it is to wait.
        entity: its queue as the consumer has it; `None` where that is not known.
        others: the queues that the app knows.
    """
    if pause.otherwise is not None:
        if delay > 0:
            delayed = _copy_of(outgoing)
            pause.write(delayed, delay)
            yield Way(f"delayed to {outgoing.queue}", delayed, is_delayed=True)
        pause = pause.otherwise
    pause.write(outgoing, pause.bounded(delay))
    yield Way("the default exchange", outgoing, declares=True)
    if entity is not None and _is_alone(entity, others):
        own = _copy_of(outgoing)
        own.exchange, own.routing_key = entity.exchange.name, entity.routing_key
        yield Way(f"exchange {own.exchange}", own, declares=True)


def can_declare(entity: Any) -> bool:
    """Whether a queue can be declared for its consumer to find.

    An exclusive one would be this connection's alone, and end with it.
    """
    return entity is not None and not entity.no_declare and not entity.exclusive


def _is_alone(entity: Any, others: Mapping[str, Any]) -> bool:
    """What is sent to the queue's own exchange by its key comes into this queue alone."""
    exchange, key = entity.exchange, entity.routing_key
    if exchange is None or not exchange.name or exchange.type != "direct" or entity.bindings:
        return False
    for name, queue in others.items():
        bound = [(queue.exchange, queue.routing_key)]
        bound += [(one.exchange, one.routing_key) for one in queue.bindings]
        for to, by in bound:
            if name != entity.name and to is not None and (to.name, by) == (exchange.name, key):
                return False
    return True


def _copy_of(outgoing: Outgoing) -> Outgoing:
    made = copy.copy(outgoing)
    made.headers, made.properties = dict(outgoing.headers), dict(outgoing.properties)
    return made
