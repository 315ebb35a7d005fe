"""One message of a tick on its way to the broker, where all that it will say is known."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any

from ..message import HEADER, mark_in, marked, not_sent
from ..message.carried import put
from ..model.clock import Clock
from .naming import Names, spelled
from .ticks import Tick
from .traces import without_traces

__all__ = ["Outgoing"]

logger = logging.getLogger("celery_lock")

_MISSING = object()


class Outgoing:
    """A producer for one message: it names the message, and hands it to the real producer.

    Celery asks it for whatever it asks a producer for, and to publish when the receivers of
    `before_task_publish` have run, and with the headers that an app of one's own has added.

    Args:
        names: names the messages of the tick.
        now: says the store's time.
        sent: what is known of the message so far.
        task_id: the id by which it is known so far.
        preset: its author chose that id.
    """

    def __init__(
        self,
        app: Any,
        tick: Tick,
        names: Names,
        now: Clock,
        *,
        sent: str,
        task_id: str,
        preset: bool,
    ) -> None:
        self.task_id = task_id
        """The id of the message; another one than before if something was added to it."""
        self.is_named = False
        self._app = app
        self._tick = tick
        self._names = names
        self._now = now
        self._sent = sent
        self._first_id = task_id
        self._preset = preset
        self._arguments: list[Any] = []
        self._given: dict[str, Any] = {}
        self._real: Any = None
        self._acquired: Any = None

    # -- what it stands for ------------------------------------------------------------------

    def take_from(self, args: Any, kwargs: Any, options: dict[str, Any]) -> None:
        """Take the producer out of the options, and note what is given: all else is added."""
        self._arguments = [args or (), kwargs or {}]
        self._given = without_traces(options.get("headers") or {})
        producer, publisher = options.pop("producer", None), options.pop("publisher", None)
        connection = options.pop("connection", None)
        self._real = producer or publisher
        if self._real is None and connection is not None:
            self._real = self._app.amqp.Producer(connection, auto_declare=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer(), name)

    def _producer(self) -> Any:
        if self._real is None:
            self._real = self._acquired = self._app.producer_pool.acquire(block=True)
        return self._real

    def release(self) -> None:
        """Give a producer back that came out of the app's pool."""
        if self._acquired is not None:
            self._acquired.release()

    # -- publishing --------------------------------------------------------------------------

    def publish(self, body: Any, **options: Any) -> Any:
        """Publish the message under its name, unless that was published for this tick before."""
        headers = options.get("headers")
        if not isinstance(headers, Mapping) or headers.get("id") != self._first_id:
            return self._producer().publish(self._event(body), **options)
        added = self._added(headers, body)
        self.is_named = True
        name = self._names.take(f"{self._sent}{spelled(added)}" if added else self._sent)
        if not self._preset:
            self.task_id = self._names.id_of(name)
        if self._tick.has_sent(name):
            logger.info(
                "beat: %s of the tick of %r was published before, and is not again",
                self.task_id,
                self._tick.name,
            )
            not_sent()
            return None
        options["headers"] = self._named(headers, name)
        self._show(headers)
        if options.get("correlation_id") == self._first_id:
            options["correlation_id"] = self.task_id
        self._tick.in_flight = True
        try:
            result = self._producer().publish(body, **options)
            self._tick.note_sent(name, self._now())
        finally:
            self._tick.in_flight = False
        return result

    def _named(self, headers: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return the headers with the message's own name and id; tools may hold the given ones."""
        written = headers.get(HEADER) or {}
        name = marked(name, mark_in(written.get("publication") or ""))
        named, header = dict(headers), {**written, "publication": name}
        for place in ("id", "root_id"):
            if named.get(place) == self._first_id:
                named[place] = self.task_id
        if "id" in header:
            header["id"] = self.task_id
        put(named, header)
        return named

    def _show(self, headers: Mapping[str, Any]) -> None:
        """Let receivers of `after_task_publish` see the id that the message has: they are given
        the headers that Celery has made for it."""
        if isinstance(headers, MutableMapping):
            for place in ("id", "root_id"):
                if headers.get(place) == self._first_id:
                    headers[place] = self.task_id

    def _added(self, headers: Mapping[str, Any], body: Any) -> dict[str, Any]:
        """Return what the message says beyond what is known of it."""
        celerys = self._app.amqp.as_task_v2("", "", (), {}).headers
        added = {
            name: value
            for name, value in without_traces(headers).items()
            if name not in celerys and self._given.get(name, _MISSING) != value
        }
        if isinstance(body, (list, tuple)) and len(body) > 1:
            sent = spelled(list(body[:2]))
            if sent != spelled(self._arguments):
                added["arguments"] = sent
        return added

    def _event(self, body: Any) -> Any:
        """Return an event of Celery's, `task-sent`, with the id that the message went under."""
        if not isinstance(body, Mapping) or body.get("uuid") != self._first_id:
            return body
        return {**body, "uuid": self.task_id, "root_id": self.task_id}
