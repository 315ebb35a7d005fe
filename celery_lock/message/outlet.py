"""The connection of one process to one broker, by which messages are sent again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..model.clock import Clock, steady
from ..model.mutex import new_mutex
from .delayed import EXIT, binding_key
from .pauses import Outgoing

__all__ = ["Outlet"]

BARRED = 60.0
"""Seconds for which a way that the broker refused is not tried again, while there is another."""


class Outlet:
    """One connection, if there is one, and what is known of it.

    Args:
        connect: makes a producer, given who is told of a message that no queue took.
        clock: seconds of a steady clock.
    """

    def __init__(
        self, connect: Callable[[Callable[..., None]], Any], clock: Clock = steady
    ) -> None:
        self.lock = new_mutex()
        """Held while a message is sent."""
        self.found_no_queue = False
        """The message that is sent now has met that its queue was gone."""
        self._connect = connect
        self._clock = clock
        self._producer: Any = None
        self._returned: BaseException | None = None
        self._bound: dict[str, float] = {}
        self._barred: dict[str, float] = {}

    @property
    def is_open(self) -> bool:
        """There is a connection, which may have died since it was used."""
        return self._producer is not None

    def publish(self, outgoing: Outgoing, body: Any, **options: Any) -> BaseException | None:
        """Publish a message; return what the broker said of one that no queue took.

        With a handler, py-amqp goes on to read the broker's confirmation after that; without one
        it raises before, and the confirmation would be taken for that of the next message.
        """
        self._returned = None
        self._open().publish(
            body,
            exchange=outgoing.exchange,
            routing_key=outgoing.routing_key,
            headers=outgoing.headers,
            **options,
            **outgoing.properties,
        )
        return self._returned

    def bind_delayed(self, queue: str) -> None:
        """Let a queue have what was delayed for it, at most once in a while."""
        now = self._clock()
        if now < self._bound.get(queue, now):
            return
        self._open().channel.queue_bind(queue=queue, exchange=EXIT, routing_key=binding_key(queue))
        self._bound[queue] = now + BARRED  # somebody may delete the queue, and declare it anew

    def declare(self, entity: Any) -> None:
        """Declare a queue as its consumer has it."""
        entity(self._open().channel).declare()

    def bar(self, way: str) -> bool:
        """Leave out a way that the broker has refused for a while; false: it was left out."""
        is_new = way not in self._barred
        self._barred[way] = self._clock() + BARRED
        return is_new

    def is_barred(self, way: str) -> bool:
        """The broker has refused this way a short while ago."""
        return self._clock() < self._barred.get(way, 0.0)

    def drop(self) -> None:
        """Give the connection up, in whatever state it is."""
        producer, self._producer = self._producer, None
        self._bound.clear()
        if producer is not None:
            try:
                producer.connection.collect(socket_timeout=0.1)
            except Exception:  # it is broken; all that matters is that it is not used again
                return

    def _open(self) -> Any:
        if self._producer is None:
            self._producer = self._connect(self._on_return)
        return self._producer

    def _on_return(self, error: BaseException, *_: Any) -> None:
        self._returned = error
