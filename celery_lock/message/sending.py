"""Sending a message again: the raw one, to the queue it came from, with nothing lost.

Not through `signature.apply_async()`: in a worker that sets `parent_id` and `children` to the
running task's, recomputes `expiration`, and loses compression, serializer and routing.
"""

from __future__ import annotations

import os
import threading
import weakref
from datetime import datetime, timedelta, timezone
from typing import Any

from kombu.exceptions import OperationalError

from ..errors import LockError
from ..model import Decision, written
from .header import HEADER, Header
from .raw import RawMessage

__all__ = ["Sender", "Unsent"]

# Written by brokers and transports on the way, for one delivery.
_NOT_HEADERS = ("redelivered", "x-delivery-count", "eta")
_NOT_HEADERS_PREFIX = ("x-death", "x-first-death", "x-last-death")
# The only properties that belong to the sender; all others are the transport's own.
_PROPERTIES = ("correlation_id", "reply_to", "message_id", "type", "app_id", "timestamp")

_CALL = 5.0
"""Seconds that a broker may take for one step of sending: a hung one must not keep a process."""


class Unsent(LockError):
    """The broker did not take the message: it is still the only copy."""


class Sender:
    """Sends raw messages for one app, over one connection of its own per process.

    Of its own, since on RabbitMQ a publish without confirms is lost in silence when the
    connection breaks, and the app's connections have confirms only if its author asked for it.
    """

    def __init__(self, app: Any) -> None:
        self._app = weakref.ref(app)  # what belongs to an app must not keep it alive
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._producer: Any = None
        self._pid = os.getpid()

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
        if self._pid != os.getpid():
            self._begin()  # the parent's connection is the parent's
        with self._lock:
            for last in (False, True):
                try:
                    return self._publish(raw, header, delay)
                except self._errors as exc:
                    self._drop()
                    # an idle connection may have died long ago: that is no outage yet
                    if last:
                        raise Unsent(f"the broker did not take the message: {exc}") from exc
                except BaseException:  # a time limit: the connection is in the middle of a call
                    self._drop()
                    raise

    def _publish(self, raw: RawMessage, header: Header, delay: float) -> None:
        if self._producer is None:
            self._producer = self._connect()
        headers = {
            name: value
            for name, value in raw.headers.items()
            if name not in _NOT_HEADERS and not name.startswith(_NOT_HEADERS_PREFIX)
        }
        # kombu decompressed the body and left the header: without this nobody could read it
        compression = headers.pop("compression", None)
        if "eta" in raw.headers or delay > 0:
            headers["eta"] = _eta(delay)
        headers[HEADER] = header.write()
        properties = {
            name: raw.properties[name]
            for name in _PROPERTIES
            if raw.properties.get(name) is not None
        }
        self._producer.publish(
            raw.body,
            exchange="",
            routing_key=raw.queue,
            content_type=raw.content_type,
            content_encoding=raw.content_encoding,
            compression=compression,
            headers=headers,
            priority=raw.properties.get("priority"),
            delivery_mode=raw.properties.get("delivery_mode"),
            **properties,
        )

    def _connect(self) -> Any:
        app: Any = self._app()  # a running task keeps its app alive
        connection = app.connection_for_write(
            connect_timeout=_CALL,
            transport_options=_options(app),
        )
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=_CALL)
        self._errors = (
            *connection.connection_errors,
            *connection.channel_errors,
            OperationalError,
            OSError,
        )
        return connection.Producer(auto_declare=False)

    _errors: tuple[type[BaseException], ...] = (OperationalError, OSError)

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                producer.connection.collect(socket_timeout=0.1)
            except Exception:  # it is broken; all that matters is that it is not used again
                return


def _options(app: Any) -> dict[str, Any]:
    """Return transport options for a sender that must know, and must not hang."""
    given = app.conf.broker_transport_options or {}
    wanted = {
        "confirm_publish": True,
        "socket_timeout": _CALL,
        "socket_connect_timeout": _CALL,
        "read_timeout": _CALL,
        "write_timeout": _CALL,
    }
    driver = app.connection_for_write().transport.driver_type
    names = {
        "redis": ("socket_timeout", "socket_connect_timeout"),
        "amqp": ("confirm_publish", "read_timeout", "write_timeout"),
    }.get(driver, ())
    return {name: wanted[name] for name in names if name not in given or name == "confirm_publish"}


def _eta(delay: float) -> str | None:
    if delay <= 0:
        return None
    return (datetime.now(timezone.utc) + timedelta(seconds=delay)).isoformat()
