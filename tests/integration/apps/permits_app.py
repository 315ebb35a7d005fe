"""Tasks of which several may run at once: those that end well, are killed, retried, or rest."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask, Scope, constant, requeue, skip
from tests.integration.apps.dying import die, see_deaths_soon
from tests.integration.apps.history import VARIABLE, History, tell

LIMIT = int(os.environ.get("TEST_LIMIT", "3"))
"""How many may run at once, by the worker's environment: a deploy changes it."""
TTL = 10.0
FLOOR = 0.8
AGAIN = requeue(constant(0.25))


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("permits", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=4,
        **conf,
    )

    def locked(name: str, lock: Lock) -> Any:
        name = f"permits.{name}"
        return app.task(base=LockedTask, shared=False, bind=True, name=name, lock=lock)

    def begin(task: Any, job: str) -> None:
        lease = task.lease
        tell("start", job, slot=lease.slot, token=lease.token, key=lease.key, limit=LIMIT)

    def is_first(job: str) -> bool:
        # a message that was sent again is delivered for the first time, as brokers see it
        return len(History(Path(os.environ[VARIABLE])).lines("start", job)) == 1

    @locked("work", Lock("work:{host}", limit=LIMIT, ttl=TTL, on_conflict=AGAIN))
    def work(self: Any, host: str, job: str, seconds: float, dies: bool = False) -> str:
        """Run for a while; die at the end of the first run, if it is to."""
        begin(self, job)
        time.sleep(seconds)
        tell("end", job)
        if dies and is_first(job):
            die()
        return job

    again = Lock(
        "again:{host}", limit=LIMIT, ttl=TTL, scope=Scope.ACROSS_RETRIES, on_conflict=AGAIN
    )

    @locked("again", again)
    def again_(self: Any, host: str, job: str, seconds: float) -> str:
        """Run for a while, three times; the permit is kept in between."""
        begin(self, job)
        time.sleep(seconds)
        if self.request.retries < 2:
            tell("kept", job)
            raise self.retry(countdown=0.05)
        tell("end", job)
        return job

    @locked("rests", Lock("rests:{host}", limit=2, ttl=TTL, at_least=FLOOR, on_conflict=AGAIN))
    def rests(self: Any, host: str, job: str) -> str:
        """End at once, and keep the permit for a while."""
        begin(self, job)
        tell("end", job)
        return job

    successes = Lock(
        "once:{host}",
        ttl=TTL,
        at_least=3600,
        at_least_on_failure=False,
        on_conflict=skip(),
    )

    @locked("once", successes)
    def once(self: Any, host: str, job: str, ends: str) -> str:
        """Succeed, fail or be killed: one success an hour."""
        begin(self, job)
        tell("end", job)
        if ends == "killed" and is_first(job):
            die()
        if ends != "well":
            raise ValueError(job)
        return job

    return app


see_deaths_soon()
app = make_app()
