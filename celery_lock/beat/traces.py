"""The message headers that tools write anew at each publish: they are no part of what is sent."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from ..message import HEADER

__all__ = ["without_traces"]

_TRACES = (
    # W3C Trace Context and Baggage: OpenTelemetry, and most others
    "traceparent",
    "tracestate",
    "baggage",
    # by vendor
    "sentry-*",
    "x-datadog-*",
    "_datadog",
    "newrelic",
    "x-newrelic-*",
    "elastic-apm-*",
    "elasticapm",
    "x-instana-*",
    "x-dynatrace*",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "__dynatrace_tag",
    "atatus*",
    "honeybadger_event_context",
    "scout_task_start",
    "sw8*",
    "x-cronitor-*",
    # Zipkin and Jaeger
    "b3",
    "x-b3-*",
    "uber-trace-id",
    "uberctx-*",
    "ot-tracer-*",
    "ot-baggage-*",
    "parent_span_context",
    # an id of the request that a message follows
    "x-request-id",
    "x_request_id",
    "x-correlation-id",
    "correlation-id",
    "correlation_id",
    "__django_structlog__",
    # the moment of sending
    "published_at",
    "enqueued_at",
    "queued_at",
    "sent_at",
    "*-enqueued-time",
    "*timestamp",
)
"""Patterns of their names, in small letters. A name that is missing here makes a copy of a message
another message; a tenant's header that stood here would make two tenants one."""

_INNER = "headers"
"""A dict within the headers, in which tools write theirs once more: celery#4875."""


def without_traces(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers that belong to what is sent, an inner dict's among them."""
    inner = headers.get(_INNER)
    every = {**(inner if isinstance(inner, Mapping) else {}), **headers}
    return {
        name: value
        for name, value in every.items()
        if name not in (HEADER, _INNER) and not _is_trace(str(name))
    }


@lru_cache(maxsize=256)
def _is_trace(name: str) -> bool:
    small = name.lower()
    return any(fnmatchcase(small, pattern) for pattern in _TRACES)
