"""Sending a message again: the raw one, to the queue it came from, with nothing lost.

Not through `signature.apply_async()`: in a worker that sets `parent_id` and `children` to the
running task's, recomputes `expiration`, and loses compression, serializer and routing.
"""

from __future__ import annotations

import copy
import logging
import weakref
from collections.abc import Callable
from functools import cached_property
from typing import Any

import kombu
from billiard.exceptions import SoftTimeLimitExceeded

from ..errors import LockError
from ..model import Decision, written
from ..model.clock import steady
from ..model.per_process import PerProcess
from .carried import put
from .header import Header
from .origin import entity_in
from .outlet import Outlet
from .pauses import Outgoing
from .raw import RawMessage
from .transports import Transport, transport_of
from .ways import Way, can_declare, ways

__all__ = ["Homeless", "Sender", "Unsent"]

logger = logging.getLogger("celery_lock")


_STOPS = (SoftTimeLimitExceeded, LockError)
"""Errors that end the run: its soft time limit, and a message that nobody could send."""


class Unsent(LockError):
    """The broker did not take the message: it is still the only copy."""


class Homeless(Unsent):
    """Its queue was gone, and with that what the broker had of it, acknowledged late or not."""


class Sender:
    """Sends raw messages for one app, over connections of its own per process and broker.

    Of its own, since on RabbitMQ a publish without confirms is lost in silence when the
    connection breaks, and the app's connections have confirms only if its author asked for it.
    """

    def __init__(self, app: Any) -> None:
        self._app = weakref.ref(app)  # what belongs to an app must not keep it alive
        self._outlets: PerProcess[dict[int, Outlet]] = PerProcess(dict)

    @cached_property
    def _transport(self) -> Transport:
        app: Any = self._app()  # a running task keeps its app alive
        return transport_of(app.connection_for_read(), app.conf.broker_transport_options)

    def send(self, raw: RawMessage, header: Header, *, delay: float) -> None:
        """Send `raw` with our `header`, to be run `delay` seconds from now.

        Raises `Unsent` when the broker does not take it, `LockError` when the message has no
        queue to go back to.
        """
        if raw.queue is None:
            raise LockError(
                "the message came through an exchange that leads to no queue of its own"
                " (a broadcast, or a topic with several queues), so it cannot be sent again"
                " without reaching others; use"
                f" {written(kind for kind in Decision.kinds if not kind.sends)} for this task"
            )
        outlet = self._outlet(raw.broker)
        with outlet.lock:
            outlet.found_no_queue = False
            try:
                self._go(outlet, raw, header, delay)
            except self._transport.not_sent as exc:
                outlet.drop()
                kind = Homeless if outlet.found_no_queue else Unsent
                said = str(exc) or type(exc).__name__
                raise kind(f"the broker did not take the message: {said}") from exc
            except BaseException as exc:  # the connection may be in the middle of a call
                outlet.drop()
                if not isinstance(exc, Exception) or isinstance(exc, _STOPS):
                    raise
                # whatever went wrong, of a driver that we do not know: it is still the only copy
                said = f"{type(exc).__name__}: {exc}"
                raise Unsent(f"the message could not be sent: {said}") from exc

    # -- by one way or another ---------------------------------------------------------------

    def _go(self, outlet: Outlet, raw: RawMessage, header: Header, delay: float) -> None:
        """Send by the first way that the broker does not refuse."""
        row, app = self._transport, self._app()
        own, options = raw.of_its_sender(), {}
        headers = {name: value for name, value in own.headers.items() if name not in row.obeys}
        # kombu decompressed the body and left the header: without this nobody could read it
        options["compression"] = headers.pop("compression", None)
        options["content_type"], options["content_encoding"] = (
            own.content_type,
            own.content_encoding,
        )
        if row.returns:
            options["mandatory"] = True
        put(headers, header.write())
        properties = {"priority": None, "delivery_mode": None, **own.properties}
        outgoing = Outgoing(str(raw.queue), headers, properties)
        entity = entity_in(raw.entity)
        pause = row.pause_in(raw.queue, raw.arguments)
        # only AMQP has the queue's own exchange: a virtual one is known to who has declared it
        known = entity if row.returns else None
        left = list(ways(outgoing, pause, delay, known, {} if app is None else app.amqp.queues))
        while left:
            way = left.pop(0)
            if left and outlet.is_barred(way.name):
                continue
            try:
                returned = self._try(outlet, way, entity, own.body, options)
            except row.answers as exc:
                self._refused(outlet, way, exc, is_last=not left)
                continue
            if returned is None:
                return
            self._refused(outlet, way, returned, is_last=not left or not way.is_delayed)

    def _try(
        self, outlet: Outlet, way: Way, entity: Any, body: Any, options: dict[str, Any]
    ) -> BaseException | None:
        """Try one way; return what the broker said of a message that no queue took."""

        def once() -> BaseException | None:
            if way.is_delayed:
                outlet.bind_delayed(way.outgoing.queue)
            return outlet.publish(way.outgoing, body, **options)

        returned = self._with_fresh_connection(outlet, once)
        outlet.found_no_queue |= returned is not None and not way.is_delayed
        if returned is None or not way.declares or not can_declare(entity):
            return returned
        outlet.drop()  # the channel is the broker's to close
        outlet.declare(entity)
        return outlet.publish(way.outgoing, body, **options)

    def _with_fresh_connection(
        self, outlet: Outlet, once: Callable[[], BaseException | None]
    ) -> BaseException | None:
        """Do it again over a new connection where an idle one has died: that is no outage yet."""
        row, was_open, began = self._transport, outlet.is_open, steady()
        try:
            return once()
        except row.not_sent as exc:
            # nor is one that hangs asked twice: not every driver's error says that it was a timeout
            is_slow = steady() - began > row.send_within / 4
            if not was_open or is_slow or isinstance(exc, (*row.answers, TimeoutError)):
                raise
        outlet.drop()
        return once()

    def _refused(self, outlet: Outlet, way: Way, answer: BaseException, *, is_last: bool) -> None:
        outlet.drop()
        is_new = outlet.bar(way.name)
        if is_last:
            raise answer
        if is_new and way.is_delayed:
            logger.warning(
                "RabbitMQ does not delay messages for the queue %s (%s): they wait in their"
                " worker, and keep its places from others",
                way.outgoing.queue,
                answer,
            )

    # -- to which broker ---------------------------------------------------------------------

    def _outlet(self, broker: int) -> Outlet:
        outlets = self._outlets.value
        # atomic: in a threads pool the first one made is everybody's
        return outlets.get(broker) or outlets.setdefault(
            broker, Outlet(lambda on_return: self._connect(broker, on_return))
        )

    def _connect(self, broker: int, on_return: Callable[..., None]) -> Any:
        """Return a producer for the broker at this position among those that the app reads from.

        Where that one is gone, for the next: the worker goes the same way.
        """
        app: Any = self._app()
        within = self._transport.send_within
        options = {
            "connect_timeout": within,
            "transport_options": copy.deepcopy(dict(self._transport.options)),  # boto adds to them
        }
        connection = app.connection_for_read(**options)
        urls = list(connection.alt or ())
        if 0 < broker < len(urls):
            connection = app.connection_for_read(
                ";".join([*urls[broker:], *urls[:broker]]), **options
            )
        elif len(urls) < 2 and _is_same_place(
            connection, writing := app.connection_for_write(**options)
        ):
            connection = writing  # who reads there may not be allowed to write
        again = self._transport.connects - 1
        connection.ensure_connection(max_retries=again, interval_start=0, timeout=within)
        producer = kombu.Producer(
            connection.channel(),
            auto_declare=False,
            on_return=on_return if self._transport.returns else None,
        )
        producer.__connection__ = connection  # type: ignore[misc]  # as kombu's own does
        return producer


def _is_same_place(one: Any, other: Any) -> bool:
    """Two connections lead to one virtual host of one broker, be it as two users."""
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("transport_cls", "hostname", "port", "virtual_host")
    )
