"""Sending a message again: the raw one, to the queue it came from, with nothing lost.

Not through `signature.apply_async()`: in a worker that sets `parent_id` and `children` to the
running task's, recomputes `expiration`, and loses compression, serializer and routing.
"""

from __future__ import annotations

import threading
import weakref
from functools import cached_property
from typing import Any

from ..errors import LockError
from ..model import Decision, written
from ..model.per_process import PerProcess
from .carried import HEADER
from .header import Header
from .raw import RawMessage
from .transports import Transport, transport_of

__all__ = ["Sender", "Unsent"]


class Unsent(LockError):
    """The broker did not take the message: it is still the only copy."""


class Sender:
    """Sends raw messages for one app, over one connection of its own per process.

    Of its own, since on RabbitMQ a publish without confirms is lost in silence when the
    connection breaks, and the app's connections have confirms only if its author asked for it.
    """

    def __init__(self, app: Any) -> None:
        self._app = weakref.ref(app)  # what belongs to an app must not keep it alive
        self._outlet = PerProcess(_Outlet)

    @cached_property
    def _transport(self) -> Transport:
        app: Any = self._app()  # a running task keeps its app alive
        return transport_of(app.connection_for_write(), app.conf.broker_transport_options)

    def send(self, raw: RawMessage, header: Header, *, delay: float) -> None:
        """Send `raw` with our `header`, to be run `delay` seconds from now.

        Raises `Unsent` when the broker cannot be reached, `LockError` when the message has no
        queue to go back to.
        """
        if raw.queue is None:
            raise LockError(
                "the message came through an exchange that leads to no queue of its own"
                " (a broadcast, or a topic with several queues), so it cannot be sent again"
                " without reaching others; use"
                f" {written(kind for kind in Decision.kinds if not kind.sends)} for this task"
            )
        outlet, not_sent = self._outlet.value, self._transport.not_sent
        with outlet.lock:
            for last in (False, True):
                try:
                    if outlet.producer is None:
                        outlet.producer = self._connect()
                    return self._publish(outlet.producer, raw, header, delay)
                except not_sent as exc:
                    outlet.drop()
                    # an idle connection may have died long ago: that is no outage yet
                    if last:
                        raise Unsent(f"the broker did not take the message: {exc}") from exc
                except BaseException:  # a time limit: the connection is in the middle of a call
                    outlet.drop()
                    raise

    def _publish(self, producer: Any, raw: RawMessage, header: Header, delay: float) -> None:
        own = raw.of_its_sender()
        headers = dict(own.headers)
        # kombu decompressed the body and left the header: without this nobody could read it
        compression = headers.pop("compression", None)
        self._transport.pause(headers, delay)
        headers[HEADER] = header.write()
        producer.publish(
            own.body,
            exchange="",
            routing_key=own.queue,
            content_type=own.content_type,
            content_encoding=own.content_encoding,
            compression=compression,
            headers=headers,
            **{"priority": None, "delivery_mode": None, **own.properties},
        )

    def _connect(self) -> Any:
        app: Any = self._app()
        within = self._transport.send_within
        connection = app.connection_for_write(
            connect_timeout=within, transport_options=dict(self._transport.options)
        )
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=within)
        return connection.Producer(auto_declare=False)


class _Outlet:
    """The connection of one process, if it has one, and what guards it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.producer: Any = None

    def drop(self) -> None:
        producer, self.producer = self.producer, None
        if producer is not None:
            try:
                producer.connection.collect(socket_timeout=0.1)
            except Exception:  # it is broken; all that matters is that it is not used again
                return
