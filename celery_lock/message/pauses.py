"""How a message of one queue waits for its next try: in a worker, or in the broker."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from .delayed import ENTRANCE, can_carry, delayed_key

__all__ = ["LONGEST_DELAYED", "Outgoing", "Pause", "as_delayed", "as_eta", "in_rabbit"]

LONGEST_DELAYED = 900.0
"""Seconds that a message waits in RabbitMQ for its next try."""


@dataclass
class Outgoing:
    """A message on its way out: to which exchange, by which key, and with what."""

    queue: str
    headers: dict[str, Any]
    properties: dict[str, Any] = field(default_factory=dict)
    exchange: str = ""
    routing_key: str = ""

    def __post_init__(self) -> None:
        self.routing_key = self.routing_key or self.queue


def as_eta(outgoing: Outgoing, delay: float) -> None:
    """Let a message wait in a worker until it is due; an older time of it is forgotten."""
    if delay > 0:
        due = datetime.now(timezone.utc) + timedelta(seconds=delay)
        outgoing.headers["eta"] = due.isoformat()
    elif "eta" in outgoing.headers:
        outgoing.headers["eta"] = None


def as_delayed(outgoing: Outgoing, delay: float) -> None:
    """Let a message wait in RabbitMQ, which sends it on to its queue."""
    as_eta(outgoing, 0)
    if delay > 0:
        outgoing.exchange = ENTRANCE
        outgoing.routing_key = delayed_key(outgoing.queue, int(delay))


@dataclass(frozen=True)
class Pause:
    """What bounds the waiting of a message, and how that is written. Times are in seconds."""

    longest: float
    write: Callable[[Outgoing, float], None] = as_eta
    whole: bool = False
    """Its broker counts in whole seconds, and no wait is shorter than one."""
    otherwise: Pause | None = None
    """How it waits where the broker refuses this way."""

    @property
    def in_broker(self) -> bool:
        """The message waits in its broker: in no worker's places."""
        return self.write is not as_eta

    def bounded(self, delay: float) -> float:
        """Return `delay`, shortened so that no broker gives a waiting message to a second worker.

        A message that waits in a worker is unacknowledged. Past its visibility timeout, Redis
        delivers it again, beside the one that waits: a quarter of that time leaves room for the
        run itself. Parts of a second are left out as Celery does for a countdown.
        """
        delay = min(delay, self.longest)
        return float(max(1, math.floor(delay))) if self.whole and delay > 0 else delay


def in_rabbit(eta: Pause, queue: str | None, arguments: Mapping[str, Any]) -> Pause:
    """Return how a message waits for a queue of RabbitMQ that is declared with these arguments.

    A quorum queue keeps a message with an eta in one of the few places that its worker may
    prefetch, so there it waits in the broker. Not for a queue that deletes itself when nobody
    uses it: what comes for it after that is dropped.
    """
    timeout = arguments.get("x-consumer-timeout")
    if isinstance(timeout, (int, float)) and timeout > 0:
        eta = Pause(min(eta.longest, timeout / 1000 / 4))
    is_quorum = arguments.get("x-queue-type") == "quorum" and not arguments.get("x-expires")
    if queue is None or not is_quorum or not can_carry(queue):
        return eta
    return Pause(LONGEST_DELAYED, as_delayed, whole=True, otherwise=eta)
