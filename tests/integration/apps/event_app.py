"""Tasks with much to tell, and receivers of our signals that fail."""

from __future__ import annotations

import json
import os
import time
from dataclasses import FrozenInstanceError
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask, skip
from celery_lock.signals import lock_acquired, lock_conflicted, lock_lost, lock_released
from tests.integration.apps.history import VARIABLE, tell

TTL = 3.0


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("event", set_as_current=False)
    app.conf.update(broker_connection_retry_on_startup=True, task_acks_late=True, **conf)

    @app.task(
        shared=False, base=LockedTask, name="event.job", lock=Lock("job:{n}", on_conflict=skip())
    )
    def job(n: int) -> int:
        return n

    @app.task(
        bind=True,
        shared=False,
        base=LockedTask,
        name="event.until_lost",
        lock=Lock("lost:{n}", ttl=TTL),
    )
    def until_lost(self: Any, n: int, seconds: float) -> bool:
        """Run until the lease is lost, for so long at most."""
        until = time.monotonic() + seconds
        while not self.lease.lost and time.monotonic() < until:
            time.sleep(0.02)
        lost: bool = self.lease.lost
        return lost

    for signal in (lock_acquired, lock_conflicted, lock_lost, lock_released):

        @signal.connect(weak=False)
        def _(sender: Any, fact: Any, **_: Any) -> None:
            if VARIABLE in os.environ:
                try:
                    fact.key = "another"
                except FrozenInstanceError:
                    tell(type(fact).__name__, fact.key, sender=sender.name)
            raise RuntimeError(f"this receiver is broken ({type(fact).__name__})")

    return app


app = make_app(**json.loads(os.environ.get("TEST_SETTINGS", "{}")))
