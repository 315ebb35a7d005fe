"""Which queue a message goes to that is about to be published, for a key that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .origin import by_publication

__all__ = ["RoutedOnce", "routed"]

_ASKED = ("queue", "exchange", "routing_key", "exchange_type")


class RoutedOnce:
    """A router that has routed its message already: it says the same once more.

    Routers of the user's own may choose a queue by chance, or each in turn. The key shows the first
    answer, so the message has to go there.
    """

    def __init__(
        self, router: Any, given: Mapping[str, Any], route: Mapping[str, Any], queue: str | None
    ) -> None:
        self.queue = queue
        """The one queue that the message comes into; `None`: several, none, or not known."""
        self._router = router
        self._given = given
        self._route = route

    def route(self, options: Mapping[str, Any], *args: Any, **named: Any) -> Any:
        """Return where the message goes; asked for another way since, the router says it."""
        if any(options.get(name) != self._given.get(name) for name in _ASKED):
            return self._router.route(options, *args, **named)
        said = {name: value for name, value in options.items() if name not in _ASKED}
        for name, value in self._route.items():
            # what was given is there already, or has been taken out on the way
            if name in _ASKED or (value is not None and self._given.get(name) is None):
                said[name] = value
        return said


def routed(
    task: Any,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> RoutedOnce:
    """Route the message that `task.apply_async(args, kwargs, **options)` is about to publish.

    The answer is to be given to that as its option `router`. Raises what the app's router raises.
    """
    amqp = task.app.amqp
    given = {**task._get_exec_options(), **options}
    router = options.get("router") or amqp.router
    name = options.get("route_name") or task.name
    # a copy: the router changes it
    route = router.route(dict(given), name, args or (), dict(kwargs or {}), task)
    return RoutedOnce(router, given, route, _queue_of(route, amqp))


def _queue_of(route: Mapping[str, Any], amqp: Any) -> str | None:
    """Return the one queue that a route leads to, as Celery publishes by it."""
    queue, exchange, routing_key = map(route.get, ("queue", "exchange", "routing_key"))
    if queue is None and exchange is None:
        queue = amqp.default_queue
    if isinstance(queue, str):
        queue = amqp.queues[queue]
    declared = getattr(queue, "exchange", None)
    kind = route.get("exchange_type") or getattr(declared, "type", None) or "direct"
    if (not exchange or not routing_key) and kind == "direct":
        return None if queue is None else str(queue.name)
    if exchange is None:
        exchange = declared or amqp.default_exchange
        own = getattr(queue, "routing_key", None)
        routing_key = routing_key or own or amqp.app.conf.task_default_routing_key
    info = {"exchange": getattr(exchange, "name", exchange), "routing_key": routing_key}
    return by_publication(info, lambda: dict(amqp.queues))  # other threads may add some
