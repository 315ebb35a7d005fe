"""Locked tasks whose pool processes are spawned, and say what they know of their worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask
from celery_lock.app import flags
from celery_lock.app.locks import locks_of
from tests.integration.apps.dying import die

TTL = 60.0
"""So long that nobody who frees a key within it has waited for its end."""


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("spawned", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        # a process that is spawned imports everything: on a busy machine it takes its time
        worker_proc_alive_timeout=60.0,
        **conf,
    )

    def locked(name: str, **options: Any) -> Any:
        return app.task(
            base=LockedTask,
            shared=False,
            name=f"spawned.{name}",
            lock=Lock("{job}", ttl=TTL),
            **options,
        )

    @locked("dies")
    def dies(job: str) -> None:
        """Is killed."""
        die()

    @locked("knows", bind=True)
    def knows(self: Any, job: str) -> list[Any]:
        """Return what this process knows of its worker. It has a copy of the app here."""
        return [flags.sends_events(), locks_of(self.app).time_limit, flags.stopping()]

    @locked("learns")
    def learns(job: str) -> bool:
        """Return whether this process hears within ten seconds of what it waits for."""
        epoch = flags.connection_epoch()
        heard: Callable[[], bool] = {
            "stop": flags.stopping,
            "lost connection": lambda: flags.connection_epoch() != epoch,
        }[job]
        begun = time.monotonic()
        while not heard() and time.monotonic() < begun + 10:
            time.sleep(0.05)
        return heard()

    return app


app = make_app()
