"""Tasks on Amazon SQS, with a lock and without; what they do is told."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask, constant, requeue
from tests.integration.apps.history import tell

OPTIONS = "TEST_SQS_OPTIONS"
"""The variable with the transport options of a worker."""
PAUSE = 1.2


def make_app(options: dict[str, Any] | None = None, **conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("sqs", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options=options or json.loads(os.environ.get(OPTIONS, "{}")),
        worker_enable_remote_control=False,
        worker_prefetch_multiplier=6,
        **conf,
    )
    lock = Lock("{job}", ttl=5, on_conflict=requeue(constant(PAUSE)))

    for name, late in (("early", False), ("late", True)):

        @app.task(base=LockedTask, name=f"sqs.{name}", acks_late=late, lock=lock, shared=False)
        def body(job: str, seconds: float = 0.0, load: str = "") -> str:
            tell("start", job)
            time.sleep(seconds)
            tell("end", job)
            return "ran"

    @app.task(name="sqs.plain", shared=False)
    def plain(job: str) -> str:
        tell("start", job)
        return "ran"

    return app


app = make_app()
