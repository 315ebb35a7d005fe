"""Locked tasks behind tools that write headers, and behind exchanges that copy messages."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, current_task, signals
from kombu import Exchange, Queue
from kombu.common import Broadcast
from redis import Redis

from celery_lock import Lock, LockedTask, constant, fail, requeue, skip, wait

STORE = "TEST_STORE"
CARRY = "TEST_CARRY"
NEWS = Exchange("news", type="topic")
ALL = Exchange("all", type="fanout")
_OF_ONE_WORKER = [
    Queue("rain", NEWS, routing_key="news.rain"),
    Queue("weather", NEWS, routing_key="news.#"),
]
SOON = constant(0.2)


@signals.before_task_publish.connect
def carry(headers: Any = None, **_: Any) -> None:
    """What ids, tenants and traces that follow the work are written by."""
    if os.environ.get(CARRY) and current_task and current_task.request.id:
        for name, value in (current_task.request.headers or {}).items():
            if os.environ[CARRY] == "update":
                headers[name] = value
            else:
                headers.setdefault(name, value)


PAUSE = 0.1
"""Seconds. If the retry began at once, Celery would now and then write RETRY over its SUCCESS."""


def make_app(**conf: Any) -> Celery:
    """One app for the workers (by environment) and one for the test that sends."""
    app = Celery("headers", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        worker_prefetch_multiplier=1,
        task_queues=[
            Queue("celery"),
            Broadcast("all", exchange=ALL),
            *(_OF_ONE_WORKER if os.environ.get(CARRY) != "update" else []),
        ],
        **{"lock_store": os.environ.get(STORE), **conf},
    )

    def note(name: str, *said: Any) -> None:
        with Redis.from_url(app.conf.lock_store) as redis:
            redis.rpush(f"notes:{name}", " ".join(map(str, said)))

    def policy(conflict: Any) -> Any:
        note(conflict.key, "attempt", conflict.attempt)
        return requeue(SOON, max_attempts=2)

    def locked(name: str, lock: Lock, **options: Any) -> Any:
        base = {"bind": True, "base": LockedTask, "shared": False}
        return app.task(name=f"headers.{name}", lock=lock, **base, **options)

    @locked("bounded", Lock("{key}", on_conflict=policy))
    def bounded(self: Any, key: str) -> str:
        return "ran"

    @locked("patient", Lock("{key}", on_conflict=requeue(SOON, max_wait=0.5)))
    def patient(self: Any, key: str) -> str:
        return "ran"

    @locked("bucket", Lock("{key}:{bucket:9999d}"))
    def bucket(self: Any, key: str) -> str:
        return str(self.lease.key)

    @locked("given", Lock("own:{key}"), max_retries=1)
    def given(self: Any, key: str) -> list[Any]:
        note(key, self.lease.key)
        if not self.request.retries:
            raise self.retry(countdown=PAUSE)
        return [self.lease.key, self.request.retries]

    @locked("own_headers", Lock("own:{key}"), max_retries=1)
    def own_headers(self: Any, key: str) -> list[Any]:
        """Its retry is given other headers, so Celery copies none."""
        if not self.request.retries:
            raise self.retry(countdown=PAUSE, headers={"trace": "new"})
        return [self.lease.key, self.request.retries]

    @locked("tenant", Lock("{header[tenant]}:{queue}:{key}"), max_retries=1)
    def tenant(self: Any, key: str, retries: bool = False) -> str:
        if retries and not self.request.retries:
            raise self.retry(countdown=PAUSE)
        return str(self.lease.key)

    @locked("bill", Lock("{header[tenant]}:bill:{key}", scope="until_finished", on_conflict=skip()))
    def bill(self: Any, key: str) -> str:
        note(key, self.request.tenant, "began")
        time.sleep(0.05)
        note(key, self.request.tenant, "ended")
        return str(self.lease.key)

    @locked("stamp", Lock("{header[stamps][tenant]}:{key}"))
    def stamp(self: Any, key: str) -> str:
        return str(self.lease.key)

    @locked("label", Lock("label:{n}"))
    def label(self: Any, key: str, n: int) -> None:
        note(key, "label", n, self.lease.key)

    @locked("order", Lock("{key}", on_conflict=requeue(SOON)), acks_late=True)
    def order(self: Any, key: str, n: int) -> None:
        label.delay(key, n)

    def copied(name: str, on_conflict: Any) -> None:
        @locked(f"copied.{name}", Lock("{key}", on_conflict=on_conflict, ttl=30))
        def body(self: Any, key: str) -> None:
            note(key, "began")
            deadline = time.monotonic() + 10
            with Redis.from_url(app.conf.lock_store) as redis:
                while not redis.exists(f"gate:{key}") and time.monotonic() < deadline:
                    time.sleep(0.02)
            note(key, "ended")

    copied("skip", skip())
    copied("fail", fail())
    copied("wait", wait(5))
    copied("function", lambda conflict: note(conflict.key, "asked", conflict.attempt) or skip())
    return app


app = make_app()
