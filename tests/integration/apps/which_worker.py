"""The tasks of `which_app` in a worker, and shared ones, which go to every app of a process."""

from __future__ import annotations

import os

from celery import shared_task

from celery_lock import LockedTask
from tests.integration.apps.which_app import key_here, make_app


@shared_task(base=LockedTask, name="which.shared")
def shared(order: int) -> str | None:
    return key_here()


@shared_task(name="which.shared_plain")
def shared_plain(order: int) -> str | None:
    return key_here()


app = make_app(
    task_cls=LockedTask if os.environ.get("TEST_TASK_CLS") else None,
    lock_store=os.environ["TEST_STORE"],
)
app.set_default()
