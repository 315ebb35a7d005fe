"""A task with a lock, for workers that pytest-celery's own fixtures start in their containers."""

from __future__ import annotations

import time
from typing import Any

from celery import shared_task

from celery_lock import Lock, LockedTask, constant, requeue

TTL = 4.0


@shared_task(
    base=LockedTask,
    bind=True,
    lock=Lock("order:{order_id}", ttl=TTL, on_conflict=requeue(constant(0.1))),
)
def ship(self: Any, order_id: str, seconds: float = 0.0) -> tuple[float, float, int]:
    """Hold the order for so long; return when that began and ended, and the fencing token."""
    began = time.time()
    print(f"shipping {order_id}", flush=True)
    time.sleep(seconds)
    return began, time.time(), self.lease.token
