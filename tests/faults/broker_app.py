"""The tasks of the brokers' rows: one body with a lock, plain, and with SET NX and a retry."""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

import redis
from celery import Celery
from kombu import Exchange, Queue

from celery_lock import Lock, LockedTask, constant, requeue
from tests.faults.bodies import tell
from tests.faults.broker_rows import TWINS
from tests.services.sqs_server import SqsServer

KIND = "TEST_BROKER"
STORE = "TEST_STORE"
ACKS = "TEST_ACKS"
VISIBILITY = 5
PAUSE = 1.0
"""Seconds between two tries, with the lock and with `self.retry`."""
BODY = 0.25
_FREE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


def make_app(kind: str, store: str, *, acks_late: bool, **conf: Any) -> Any:
    """One app for the workers (by environment) and one for who sends."""
    app: Any = Celery("brokers", set_as_current=False)
    options: dict[str, Any] = {}
    if kind == "redis":
        options = {"unacked_restore_interval": 1, "unacked_restore_throttle": 1}
        options["visibility_timeout"] = VISIBILITY
    elif kind == "sqs":
        options = SqsServer.options(visibility_timeout=VISIBILITY)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options=options,
        worker_prefetch_multiplier=2,
        worker_enable_remote_control=False,
        task_ignore_result=True,
        task_acks_late=acks_late,
        task_default_exchange_type="topic" if kind == "quorum" else "direct",
        task_queues=[_queue(kind, twin) for twin in TWINS],
        lock_store=store,
        **conf,
    )
    app.conf.worker_detect_quorum_queues = kind == "quorum"
    lock = Lock("{key}", ttl=2.0, on_conflict=requeue(constant(PAUSE)))
    app.task(_plain, name="locked", bind=True, shared=False, base=LockedTask, lock=lock)
    app.task(_plain, name="plain", bind=True, shared=False)
    app.task(_nx, name="nx", bind=True, shared=False, max_retries=None)
    app.task(_beside, name="beside", shared=False)
    return app


def _queue(kind: str, name: str) -> Queue:
    if kind == "quorum":
        arguments = {"x-queue-type": "quorum"}
        return Queue(name, Exchange(name, type="topic"), name, queue_arguments=arguments)
    return Queue(name, Exchange(name), name)


def _plain(self: Any, book: str, key: str) -> None:
    """A body of a quarter of a second."""
    run = uuid.uuid4().hex
    tell(book, "start", run=run, task_id=self.request.id, key=key, pid=os.getpid())
    time.sleep(BODY)
    tell(book, "end", run=run, task_id=self.request.id, key=key, pid=os.getpid())


def _nx(self: Any, book: str, key: str) -> None:
    """What people write by hand: SET NX, and a retry where the key is taken."""
    client = redis.Redis.from_url(os.environ[STORE], socket_timeout=2)
    try:
        if not client.set(f"nx:{key}", self.request.id, nx=True, ex=2):
            raise self.retry(countdown=PAUSE)
        try:
            _plain(self, book, key)
        finally:
            client.eval(_FREE, 1, f"nx:{key}", self.request.id)
    finally:
        client.close()


def _beside(book: str, queue: str, sent: float) -> None:
    """Somebody else's quick task in the same queue."""
    tell(book, "beside", queue=queue, waited=time.time() - sent)


if KIND in os.environ:
    app = make_app(os.environ[KIND], os.environ[STORE], acks_late=os.environ[ACKS] == "late")
