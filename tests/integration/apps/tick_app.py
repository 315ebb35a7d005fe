"""Scheduled jobs, each of which writes down in the store that it ran."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from celery import Celery
from redis import Redis

from celery_lock import Lock, LockedTask, skip

STORE = "TEST_STORE"
TTL = 2.0
VISIBILITY = 3.0


def make_app(**conf: Any) -> Celery:
    """One app for the workers (by environment) and one for the test that sends."""
    app = Celery("ticks", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": VISIBILITY, "unacked_restore_interval": 1},
        **{"lock_store": os.environ.get(STORE), **conf},
    )

    def note(name: str, task: Any) -> int:
        header = (task.request.headers or {}).get("celery_lock", {})
        run = {"retries": task.request.retries, "beat": header.get("beat"), "key": task.lease.key}
        with Redis.from_url(os.environ.get(STORE) or app.conf.lock_store) as redis:
            return int(redis.rpush(f"runs:{name}", json.dumps(run)))

    @app.task(
        bind=True,
        base=LockedTask,
        name="ticks.job",
        acks_late=True,
        shared=False,
        lock=Lock("{beat[entry]}:{name}", ttl=TTL, at_least=60, on_conflict=skip()),
    )
    def job(self: Any, name: str, seconds: float = 0.0) -> None:
        runs = note(name, self)
        time.sleep(seconds if runs == 1 else 0.0)

    @app.task(
        bind=True,
        base=LockedTask,
        name="ticks.retries",
        shared=False,
        lock=Lock("{name}:{beat[due]}", on_conflict=skip()),
    )
    def retries(self: Any, name: str) -> None:
        if note(name, self) == 1:
            raise self.retry(countdown=0)

    @app.task(
        bind=True,
        base=LockedTask,
        name="ticks.bucket",
        shared=False,
        # (a bucket whose end no test will meet: 2052)
        lock=Lock("{name}:{bucket:9999d}", at_least=60, on_conflict=skip()),
    )
    def bucket(self: Any, name: str) -> None:
        note(name, self)

    return app


app = make_app()
