"""Tasks in a quorum queue of RabbitMQ, where waiting messages are counted in whole seconds."""

from __future__ import annotations

import time
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from celery_lock import Lock, LockedTask, constant, requeue

QUORUM = Queue(
    "quorum",
    Exchange("quorum", type="topic"),
    routing_key="quorum",
    queue_arguments={"x-queue-type": "quorum"},
)
TTL = 2.0


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("quorum", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_native_delayed_delivery_queue_type="classic",  # quicker to set up
        task_default_queue="quorum",
        task_default_exchange="quorum",
        task_default_exchange_type="topic",
        task_default_routing_key="quorum",
        task_queues=[QUORUM],
        worker_prefetch_multiplier=1,
        **conf,
    )
    lock = Lock("{key}", ttl=TTL, on_conflict=requeue(constant(0.1)))

    @app.task(bind=True, base=LockedTask, name="quorum.body", lock=lock, shared=False)
    def body(self: Any, key: str) -> list[Any]:
        return [self.request.retries, sorted(self.request.headers or {})]

    @app.task(
        bind=True, base=LockedTask, name="quorum.late", acks_late=True, lock=lock, shared=False
    )
    def late(self: Any, key: str, seconds: float) -> list[Any]:
        redelivered = self.request.delivery_info["redelivered"]
        time.sleep(0 if "attempt" in self.request.headers["celery_lock"] else seconds)
        return [redelivered, sorted(self.request.headers or {})]

    patient = Lock("{key}", ttl=TTL, on_conflict=requeue(constant(30)))

    @app.task(base=LockedTask, name="quorum.patient", lock=patient, shared=False)
    def waits(key: str) -> None: ...

    @app.task(name="quorum.plain", shared=False)
    def plain() -> str:
        return "at once"

    @app.task(bind=True, base=LockedTask, name="quorum.retried", lock=lock, shared=False)
    def retried(self: Any, key: str) -> list[Any]:
        info = self.request.delivery_info
        if not self.request.retries:
            raise self.retry(countdown=0)
        return [info["exchange"], info["routing_key"], self.request.retries]

    return app


app = make_app()
