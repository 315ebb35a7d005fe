"""The Celery app of the beats that are measured: one job, and each message says who sent it."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery
from celery.signals import before_task_publish

from .running_beats import BEAT, BROKER, EVERY, LOCK_OF_REDBEAT, QUEUE, SENT, STORE

__all__ = ["app"]

app: Any = Celery("beats", broker=os.environ.get(BROKER), set_as_current=False)
app.conf.update(
    lock_store=os.environ.get(STORE),
    redbeat_redis_url=os.environ.get(STORE),
    redbeat_lock_timeout=LOCK_OF_REDBEAT,
    beat_max_loop_interval=LOCK_OF_REDBEAT / 5,  # as its defaults are to each other
    result_expires=None,
    task_default_queue=QUEUE,
    beat_schedule={"job": {"task": "job", "schedule": float(os.environ.get(EVERY, "1"))}},
)


@before_task_publish.connect(weak=False)
def _say_who(headers: dict[str, Any], **_: Any) -> None:
    headers[SENT] = time.time()
    headers[BEAT] = os.getpid()
