"""One task for each policy; the key is the first argument."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from celery import Celery
from redis import Redis

from celery_lock import (
    Conflict,
    Lock,
    LockedTask,
    constant,
    fail,
    requeue,
    skip,
    wait,
)
from celery_lock.engine import locker

TTL = 2.0
"""Of `policy.late`: how long the key of a killed worker is still taken."""

if "worker" in sys.argv:  # and not in the process of the tests, which imports this too
    # Nothing but the wake-up of a release ends a wait before its time.
    locker.LOOK_AGAIN = 60.0

SOON = constant(0.2)


def shown(conflict: Conflict) -> skip:
    """Skip, and let the test see what the policy saw."""
    return skip(
        result={
            "key": conflict.key,
            "task": conflict.task,
            "task_id": conflict.task_id,
            "holder": conflict.holder.task_id,
            "node": conflict.holder.node,
            "pid": conflict.holder.pid,
            "since": conflict.holder.since,
            "attempt": conflict.attempt,
            "waited": conflict.waited,
            "expires_in": conflict.expires_in,
            "redelivered": conflict.redelivered,
            "in_canvas": conflict.in_canvas,
        }
    )


def broken(conflict: Conflict) -> skip:
    """A policy with a mistake in it."""
    raise KeyError("tenant")


POLICIES: dict[str, Any] = {
    "skip": skip(),
    "skip_with": skip(result={"nothing": "to do"}),
    "fail": fail(),
    "wait": wait(30),
    "wait_then_fail": wait(0.3),
    "wait_then_skip": wait(0.3, then=skip()),
    "wait_then_requeue": wait(0.1, then=requeue(SOON)),
    "requeue": requeue(SOON),
    "requeue_by_default": None,
    "requeue_twice": requeue(SOON, max_attempts=2),
    "requeue_twice_then_skip": requeue(SOON, max_attempts=2, then=skip()),
    "requeue_for_a_while": requeue(SOON, max_wait=0.5),
    "requeue_once_then_wait": requeue(SOON, max_attempts=1, then=wait(30)),
    "requeue_much_later": requeue(constant(600)),
    "many": requeue(constant(3)),
    "shown": shown,
    "third_time": lambda c: skip() if c.attempt >= 3 else requeue(SOON),
    "canvas_only": lambda c: requeue(SOON) if c.in_canvas else skip(),
    "broken": broken,
    "nonsense": lambda c: "skip",
}


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("policy", set_as_current=False)
    visibility = os.environ.get("POLICY_VISIBILITY")
    if visibility:
        app.conf.broker_transport_options = {
            "visibility_timeout": float(visibility),
            "unacked_restore_interval": 1,  # how often it looks; older transports only at the start
            "unacked_restore_throttle": 1,
        }
    app.conf.update(broker_connection_retry_on_startup=True, **conf)
    for name, policy in POLICIES.items():
        _add(app, name, policy)

    @app.task(name="policy.plain", shared=False)
    def plain() -> str:
        return "ran"

    @app.task(
        bind=True,
        base=LockedTask,
        name="policy.retried",
        max_retries=1,
        shared=False,
        lock=Lock("{key}", on_conflict=fail()),
    )
    def retried(self: Any, key: str) -> list[Any]:
        """Its second attempt is there before the first has ended."""
        try:
            if self.request.retries == 0:
                raise self.retry(countdown=0)
        finally:
            # the later one takes its time too, or Celery may write RETRY over its SUCCESS
            time.sleep(0.3)
        return [self.request.retries, sorted(self.request.headers or {})]

    @app.task(
        bind=True,
        base=LockedTask,
        name="policy.late",
        acks_late=True,
        shared=False,
        lock=Lock("late:{key}", ttl=TTL, on_conflict=skip()),
    )
    def late(self: Any, key: str, gate: str) -> list[Any]:
        """Runs until the gate is open, and counts who is inside."""
        with Redis.from_url(app.conf.result_backend) as redis:
            inside = redis.incr(f"{gate}:inside")
            redis.incr(f"{gate}:runs")
            while not redis.exists(gate):
                time.sleep(0.05)
            redis.decr(f"{gate}:inside")
        return [inside, sorted(self.request.headers or {})]

    return app


def _add(app: Celery, name: str, policy: Any) -> None:
    @app.task(
        bind=True,
        base=LockedTask,
        name=f"policy.{name}",
        max_retries=0,
        shared=False,
        lock=Lock("{key}", on_conflict=policy),
    )
    def body(self: Any, key: str) -> list[Any]:
        header = (self.request.headers or {}).get("celery_lock", {})
        return ["ran", self.request.retries, header.get("attempt", 0), time.time()]


app = make_app()
