"""What a key can show of a message: of one that came, and of one that is about to be published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .carried import INNER
from .header import Header
from .parts import parts_of

__all__ = ["headers_in", "of_call", "of_request", "of_retry"]


def of_request(request: Any, header: Header) -> Header:
    """Return the header of a request with the other headers of its message, and its queue.

    Here or in the main process. They are those of the raw message, which no body changes.
    """
    parts = parts_of(request)
    if parts is not None:
        return _with(header, parts.headers, parts.queue)
    if request.is_eager:
        return _with(header, {**_mapping(request.headers), "stamps": request.stamps}, None)
    # a request of somebody's own class: Celery shows the outer headers so
    return _with(header, {**vars(request), INNER: request.headers}, None)


def of_call(options: Mapping[str, Any], header: Header, queue: str | None) -> Header:
    """Return the header of a message that `apply_async(..., **options)` is about to publish, with
    its other headers, and its queue.

    They are those among the options: what receivers of signals write comes later. `queue`: the one
    that it is routed to.
    """
    headers = dict(headers_in(options))
    stamps = {name: options.get(name) for name in options.get("stamped_headers") or ()}
    if stamps:
        headers["stamps"] = stamps
    return _with(header, headers, queue)


def of_retry(options: Mapping[str, Any], header: Header, shown: Mapping[str, str]) -> Header:
    """Return the header of a retry that was published with these options.

    `header`: that of the run before; `shown`: what its key showed.
    """
    return of_call(options, replace(header, shown=shown), None)


def headers_in(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the headers among the options of a call: a dict, or pairs, which Celery takes too."""
    given = options.get("headers")
    if given is None or isinstance(given, Mapping):
        return given or {}
    try:
        return dict(given)
    except (TypeError, ValueError):
        return {}  # Celery says so


def _with(header: Header, headers: Any, queue: str | None) -> Header:
    return replace(header, others=_mapping(headers), queue=queue)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
