"""Tasks in queues of RabbitMQ that go, that are full, limited, or not to be sent to."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from celery import Celery
from celery.exceptions import Reject
from kombu import Exchange, Queue

from celery_lock import Lock, LockedTask, constant, requeue


def queue(name: str, type: str = "direct", *, auto_delete: bool = False, **arguments: Any) -> Queue:
    """A queue with an exchange of its own."""
    return Queue(
        name,
        Exchange(name, type=type),
        routing_key=name,
        auto_delete=auto_delete,
        queue_arguments={f"x-{word.replace('_', '-')}": says for word, says in arguments.items()},
    )


DEAD = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}
QUEUES = [
    queue("gone", auto_delete=True),
    queue("full", max_length=1, overflow="reject-publish"),
    queue("limited", "topic", queue_type="quorum", delivery_limit=1),
    queue("poisoned", "topic", queue_type="quorum", delivery_limit=1, **DEAD),
]


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("refusing", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_native_delayed_delivery_queue_type="classic",  # quicker to set up
        task_acks_late=True,
        task_queues=QUEUES,
        task_default_queue="gone",
        **conf,
    )
    lock = Lock("{key}", ttl=2.0, on_conflict=requeue(constant(1.0)))

    @app.task(base=LockedTask, name="refusing.body", lock=lock, shared=False)
    def body(key: str) -> str:
        time.sleep(0.1)
        return key

    # long enough for a busy machine to change a queue while its messages wait in the worker
    patient = Lock("{key}", ttl=2.0, on_conflict=requeue(constant(2.5)))

    @app.task(base=LockedTask, name="refusing.patient", lock=patient, shared=False)
    def patient_body(key: str) -> str:
        return key

    @app.task(base=LockedTask, name="refusing.kills", lock=lock, shared=False)
    def kills(key: str, counter: str) -> None:
        with open(counter, "a") as runs:
            runs.write("run\n")
        os.kill(os.getpid(), signal.SIGKILL)

    once = [Lock("once:{key}", scope=scope) for scope in ("until_started", "until_finished")]

    @app.task(base=LockedTask, name="refusing.rejects", lock=once, shared=False)
    def rejects(key: str) -> None:
        raise Reject("not here", requeue=True)

    return app


app = make_app()
