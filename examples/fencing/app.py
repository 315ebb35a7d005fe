"""The Celery app: one task that shows its fencing token to the database, and one that does not.

Broker and result backend come from CELERY_BROKER_URL and CELERY_RESULT_BACKEND; the locks live on
the broker's server, which is celery_lock's default.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask, constant, requeue

from .books import Books
from .provider import Provider

app = Celery("fencing")
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1)

# 2 s, so that nobody has to watch for long: in production a ttl below 5 s is unsafe
POINTS = Lock("points:{user_id}", ttl=2, on_conflict=requeue(constant(0.2)))


class TooLate(Exception):
    """Somebody with a later token has written: what was read is not true any more."""


@app.task(bind=True, base=LockedTask, lock=POINTS)
def spend(self: Any, user_id: int, amount: int) -> None:
    balance = books().balance(user_id)
    provider().take(amount)
    # self.lease.check() belongs here: it raises if the lease has ended. But no check sees a pause
    # that begins right after it. The WHERE clause does: it is judged as the row is written.
    token = self.lease.token
    if not books().write(user_id, balance, balance - amount, token):
        raise self.retry(exc=TooLate(f"user {user_id}, token {token}"), countdown=0)


@app.task(bind=True, base=LockedTask, lock=POINTS)
def spend_without_token(self: Any, user_id: int, amount: int) -> None:
    balance = books().balance(user_id)
    provider().take(amount)
    books().overwrite(user_id, balance, balance - amount, self.lease.token)


def books() -> Books:
    return Books(Path(os.environ["FENCING_FOLDER"], "books.sqlite"))


def provider() -> Provider:
    return Provider(Path(os.environ["FENCING_FOLDER"]))
