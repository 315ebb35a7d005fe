"""An app that only sends: it leaves nothing that looks for its servers when they are gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import celery


@contextmanager
def sending(app: celery.Celery) -> Iterator[celery.Celery]:
    """Send with an app, and leave nothing that looks for its servers later."""
    with app:
        yield app
        # An AsyncResult that is collected after its server's end would try to unsubscribe.
        consumer: Any = app.backend.result_consumer  # type: ignore[attr-defined]  # Redis has one
        consumer.subscribed_to.clear()
        consumer.stop()
        consumer._pubsub = None  # Celery before 5.7 asks for this alone
