"""How each tool is begun in a process, and what it says of the trace that a task belongs to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

__all__ = ["begin", "trace", "trace_id"]

Block = AbstractContextManager[Any]
Begun = tuple[Callable[[], Block], Callable[[], str | None]]
"""A tool's block of a trace, and how it says which trace runs."""


@contextmanager
def _no_trace() -> Iterator[None]:
    yield


def _no_id() -> str | None:
    return None


_kept: list[Any] = []
_block: Callable[[], Block] = _no_trace
_id: Callable[[], str | None] = _no_id


def trace() -> Block:
    """A trace that what is published within belongs to."""
    return _block()


def trace_id() -> str | None:
    """The trace that runs here, by the tool's own word; `None`: there is none."""
    return _id()


def begin(name: str) -> None:
    """Begin a tool by its name, as its users do."""
    global _block, _id
    _block, _id = BEGINS[name]()


def _plain() -> Begun:
    return _no_trace, _no_id


def _inner() -> Begun:
    """A dict `headers` within the headers, written as a message is published (celery#4875)."""
    from celery import current_task
    from celery.signals import before_task_publish

    now: list[str] = []

    @before_task_publish.connect(weak=False)
    def put(headers: dict[str, Any], **_: Any) -> None:
        mine = now[-1] if now else _seen()
        headers.setdefault("headers", {}).update({"x-trace": mine})

    @contextmanager
    def block() -> Iterator[None]:
        now.append(os.urandom(4).hex())
        yield
        now.pop()

    def _seen() -> str | None:
        return ((current_task and current_task.request.headers) or {}).get("x-trace")

    return block, lambda: now[-1] if now else _seen()


def _carry() -> Begun:
    """The headers of the running task are carried to all that it sends."""
    from celery import current_task
    from celery.signals import before_task_publish

    @before_task_publish.connect(weak=False)
    def carry(headers: dict[str, Any], **_: Any) -> None:
        if current_task and current_task.request.id:
            for name, value in (current_task.request.headers or {}).items():
                headers.setdefault(name, value)

    return _no_trace, _no_id


def _carry_inner() -> Begun:
    """The same, into a dict `headers` within the headers."""
    from celery import current_task
    from celery.signals import before_task_publish

    @before_task_publish.connect(weak=False)
    def carry(headers: dict[str, Any], **_: Any) -> None:
        if current_task and current_task.request.id:
            inner = headers.setdefault("headers", {})
            inner.update(current_task.request.headers or {})

    return _no_trace, _no_id


def _sentry() -> Begun:
    import sentry_sdk
    from sentry_sdk.transport import Transport

    class Drop(Transport):
        """Sends nothing."""

        def capture_event(self, event: Any) -> None: ...

        def capture_envelope(self, envelope: Any) -> None: ...

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1", transport=Drop, traces_sample_rate=1.0, debug=False
    )

    def span() -> Any:
        if hasattr(sentry_sdk, "get_current_span"):
            return sentry_sdk.get_current_span()
        return sentry_sdk.Hub.current.scope.span

    return (
        lambda: sentry_sdk.start_transaction(op="test", name="play"),
        lambda: span().trace_id if span() else None,
    )


def _ddtrace() -> Begun:
    from ddtrace.trace import tracer

    def running() -> str | None:
        span = tracer.current_span()
        return format(span.trace_id, "x") if span else None

    return lambda: tracer.trace("play"), running


def _opentelemetry() -> Begun:
    from celery.signals import worker_process_init
    from opentelemetry import trace as api
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    api.set_tracer_provider(TracerProvider())

    @worker_process_init.connect(weak=False)
    def instrument(**_: Any) -> None:
        CeleryInstrumentor().instrument()

    if os.environ.get("BESIDE_SIDE") == "publisher":
        instrument()

    def running() -> str | None:
        context = api.get_current_span().get_span_context()
        return format(context.trace_id, "x") if context.is_valid else None

    return lambda: api.get_tracer("tests").start_as_current_span("play"), running


def _newrelic() -> Begun:
    import newrelic.agent as agent

    application = agent.application()

    def block() -> Block:
        return agent.BackgroundTask(application, name="play")

    return block, agent.current_trace_id


def _elastic() -> Begun:
    import elasticapm
    from elasticapm.contrib.celery import register_exception_tracking, register_instrumentation

    client = elasticapm.Client(
        service_name="beside",
        server_url="http://127.0.0.1:9",
        disable_send=True,
        cloud_provider=False,
    )
    elasticapm.instrument()
    register_exception_tracking(client)
    register_instrumentation(client)

    @contextmanager
    def block() -> Iterator[None]:
        client.begin_transaction("test")
        yield
        client.end_transaction("play", "ok")

    return block, elasticapm.get_trace_id


def _correlation_id() -> Begun:
    from asgi_correlation_id import correlation_id
    from asgi_correlation_id.extensions.celery import (
        load_celery_current_and_parent_ids,
        load_correlation_ids,
    )

    load_correlation_ids()
    load_celery_current_and_parent_ids()

    @contextmanager
    def block() -> Iterator[None]:
        token = correlation_id.set(os.urandom(16).hex())
        yield
        correlation_id.reset(token)

    return block, correlation_id.get


def _django(**settings: Any) -> None:
    import django
    from django.conf import settings as conf

    conf.configure(SECRET_KEY="beside", USE_TZ=True, **settings)
    django.setup()


def _django_guid() -> Begun:
    from django_guid.integrations import CeleryIntegration

    _django(
        INSTALLED_APPS=["django_guid"],
        DJANGO_GUID={"INTEGRATIONS": [CeleryIntegration(log_parent=True)]},
    )
    from django_guid import clear_guid, get_guid, set_guid

    @contextmanager
    def block() -> Iterator[None]:
        set_guid(os.urandom(16).hex())
        yield
        clear_guid()

    return block, get_guid


def _structlog() -> Begun:
    _django(INSTALLED_APPS=["django_structlog"], DJANGO_STRUCTLOG_CELERY_ENABLED=True)
    from django_structlog.celery.receivers import CeleryReceiver
    from structlog.contextvars import bound_contextvars, get_contextvars

    if os.environ.get("BESIDE_SIDE") != "publisher":
        _kept.append(CeleryReceiver())  # Celery's signals hold it weakly
        _kept[-1].connect_worker_signals()  # as its boot step does

    return (
        lambda: bound_contextvars(request_id=os.urandom(16).hex()),
        lambda: get_contextvars().get("request_id"),
    )


BEGINS = {
    "plain": _plain,
    "inner": _inner,
    "carry": _carry,
    "carry-inner": _carry_inner,
    "signed": _plain,
    "sentry": _sentry,
    "sentry-1.45": _sentry,
    "ddtrace": _ddtrace,
    "opentelemetry": _opentelemetry,
    "newrelic": _newrelic,
    "elastic-apm": _elastic,
    "asgi-correlation-id": _correlation_id,
    "django-guid": _django_guid,
    "django-structlog": _structlog,
    "celery-once": _plain,
}
