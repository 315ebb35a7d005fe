"""Locked tasks whose pool process is killed, with keys that only this process can know."""

from __future__ import annotations

import contextvars
import os
from typing import Any

from celery import Celery, signals

from celery_lock import Lock, LockedTask
from tests.integration.apps.dying import die, see_deaths_soon
from tests.integration.apps.history import tell

TTL = 60.0
"""So long that nobody who frees a key within it has waited for its end."""

tenant = contextvars.ContextVar("tenant", default="public")


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("killed", set_as_current=False)
    app.conf.update(broker_connection_retry_on_startup=True, worker_pool_restarts=True, **conf)
    app.conf.task_acks_late = True

    def locked(name: str, lock: Lock | list[Lock]) -> Any:
        return app.task(base=LockedTask, shared=False, name=f"killed.{name}", lock=lock)

    @locked("template", Lock("template:{job}", ttl=TTL))
    def template(job: str) -> None:
        """Is killed."""
        die()

    @locked("context", Lock(lambda job: f"{tenant.get()}:{job}", ttl=TTL))
    def context(job: str) -> None:
        """Is killed with a key that shows a variable of its context."""
        die()

    @locked("around", Lock("around:{job}", ttl=TTL))
    def around(job: str) -> None:
        """Is killed in the body of a task that it calls."""
        template.apply((job,))

    @locked("several", [Lock("z:{job}", ttl=TTL), Lock("y:{job}", ttl=TTL)])
    def several(job: str) -> None:
        """Is killed with two keys."""
        die()

    @locked("counted", Lock("counted:{job}", ttl=TTL))
    def counted(job: str) -> None:
        """Is killed, which is told first."""
        tell("start", job)
        die()

    @locked("quick", Lock("quick:{job}", ttl=TTL))
    def quick(job: str) -> int:
        """Ends by itself."""
        return os.getpid()

    @signals.task_prerun.connect(weak=False)
    def switch(task: Any = None, **_: Any) -> None:
        tenant.set(task.request.get("tenant") or "public")

    return app


see_deaths_soon()
app = make_app()
