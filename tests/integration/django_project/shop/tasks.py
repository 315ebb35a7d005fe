"""Locked tasks, declared as a reusable Django app does."""

from __future__ import annotations

import time
from typing import Any

from celery import shared_task

from celery_lock import Lock, LockedTask, constant, requeue
from tests.integration.django_project.shop.models import Account


@shared_task(
    base=LockedTask,
    bind=True,
    lock=Lock("user:point:{user}", on_conflict=requeue(constant(0.1))),
)
def charge(self: Any, user: str, amount: int) -> dict[str, Any]:
    """Read, compute, write: exact only if nobody else does so meanwhile."""
    account = Account.objects.get(user=user)
    time.sleep(0.05)
    account.points += amount
    account.save()
    return {"remaining": self.lease.remaining(), "key": self.lease.key}
