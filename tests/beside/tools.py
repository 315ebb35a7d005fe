"""The tools that are tried: how each is begun, and what it needs.

A row is one environment for the publisher and the worker. What rewrites messages without a package
of its own (`inner`, `carry`, `signed`) needs nothing but this library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["TOOLS", "Tool"]

NOWHERE = "127.0.0.1:9"
"""Where nobody listens: what a tool wants to send goes nowhere."""


@dataclass(frozen=True)
class Tool:
    """One tool, and its environment."""

    name: str
    requires: tuple[str, ...] = ()
    """For pip; empty: the environment of the tests will do."""
    run_by: tuple[str, ...] = ()
    """The tool's own runner, in front of the command."""
    env: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    """What tells the version: names of distributions."""
    traces: bool = True
    """Whether it follows a task from its publisher into the worker."""
    leaves_out: tuple[str, ...] = ()
    """Plays that send what it refuses to send, by its own design."""
    celery: str = ""
    """Another Celery than that of the tests, for one that takes no newer."""


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("plain", traces=False),
        Tool("inner"),
        Tool("carry", traces=False),
        Tool("carry-inner", traces=False),
        Tool("signed", traces=False),
        Tool("sentry", ("sentry-sdk>=2.40",), modules=("sentry-sdk",)),
        Tool("sentry-1.45", ("sentry-sdk==1.45.*",), modules=("sentry-sdk",)),
        Tool(
            "ddtrace",
            ("ddtrace>=4",),
            run_by=("ddtrace-run",),
            env={
                "DD_CELERY_DISTRIBUTED_TRACING": "true",
                "DD_TRACE_AGENT_URL": f"http://{NOWHERE}",
                "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
                "DD_REMOTE_CONFIGURATION_ENABLED": "false",
                "DD_CRASHTRACKING_ENABLED": "false",
                "DD_TRACE_STARTUP_LOGS": "false",
            },
            modules=("ddtrace",),
        ),
        Tool(
            "opentelemetry",
            ("opentelemetry-instrumentation-celery>=0.50b0", "opentelemetry-sdk"),
            modules=("opentelemetry-instrumentation-celery",),
        ),
        Tool(
            "newrelic",
            ("newrelic>=10",),
            run_by=("newrelic-admin", "run-program"),
            env={
                "NEW_RELIC_DEVELOPER_MODE": "true",
                "NEW_RELIC_LICENSE_KEY": "0" * 40,
                "NEW_RELIC_APP_NAME": "beside",
                "NEW_RELIC_HOST": "127.0.0.1",
                "NEW_RELIC_PORT": "9",
                "NEW_RELIC_DISTRIBUTED_TRACING_ENABLED": "true",
                "NEW_RELIC_LOG": "stderr",
                "NEW_RELIC_LOG_LEVEL": "error",
            },
            modules=("newrelic",),
        ),
        Tool("elastic-apm", ("elastic-apm>=6",), modules=("elastic-apm",)),
        Tool(
            "asgi-correlation-id",
            ("asgi-correlation-id==4.*", "starlette"),
            modules=("asgi-correlation-id",),
        ),
        Tool("django-guid", ("django-guid>=3.5", "django>=5.2,<6"), modules=("django-guid",)),
        Tool(
            "django-structlog",
            ("django-structlog[celery]>=9", "django>=5.2,<6"),
            modules=("django-structlog",),
        ),
        Tool(
            "celery-once",
            ("celery-once==3.*",),
            modules=("celery-once",),
            traces=False,
            leaves_out=(
                "a_tenant_in_a_header",
                "a_tenant_whose_publisher_takes_the_key",
                "a_bucket_of_the_publication",
                "a_chord",
                "a_task_that_sends_another",
            ),
        ),
    )
}
