"""The Celery app: topping up points, once as a plain task and once as a locked one.

Broker and result backend come from CELERY_BROKER_URL and CELERY_RESULT_BACKEND, which Celery
reads by itself; the locks live on the broker's own server, which is celery_lock's default.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask, exponential, requeue

from .points import Hold, Points

app = Celery("point_charging")
app.conf.update(
    task_acks_late=True,
    # 1: a worker takes no more than it can run, so all three of them share the work
    worker_prefetch_multiplier=1,
)

RECEIPT_ROUNDS = 6000
"""Work put into one receipt: about 2 ms of a processor's time."""


@app.task(bind=True)
def top_up_plain(self: Any, top_up_id: int, user_id: int, amount: int) -> None:
    add_points(_server_of(self), top_up_id, user_id, amount)


# The pauses suit a body of a few milliseconds; the defaults suit one of seconds.
@app.task(
    bind=True,
    base=LockedTask,
    lock=Lock("user:point:{user_id}", on_conflict=requeue(exponential(first=0.05, cap=0.5))),
)
def top_up_locked(self: Any, top_up_id: int, user_id: int, amount: int) -> None:
    add_points(_server_of(self), top_up_id, user_id, amount, token=self.lease.token)


def add_points(
    server: str, top_up_id: int, user_id: int, amount: int, *, token: int | None = None
) -> None:
    """Add to a user's points the naive way: read, compute, write."""
    points = Points(Path(os.environ["POINT_CHARGING_DATABASE"]))
    start = time.monotonic()  # one clock for all processes of a machine
    before = points.balance(user_id)
    after = before + amount
    receipt = f"{top_up_id}: {before} + {amount} = {after} for user {user_id}".encode()
    digest = hashlib.pbkdf2_hmac("sha256", receipt, b"point charging", RECEIPT_ROUNDS)
    points.set_balance(user_id, after)
    end = time.monotonic()
    points.note(Hold(top_up_id, user_id, server, start, end, before, after, token), digest.hex())


def _server_of(task: Any) -> str:
    """Return the letter of the server that runs this task: its node name is `A@...`."""
    return str(task.request.hostname).partition("@")[0]
