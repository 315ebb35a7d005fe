"""The locked task: one at a time for each account."""

from __future__ import annotations

import time
from typing import Any

from celery import shared_task
from django.db import transaction

from celery_lock import Lock, LockedTask

from .models import Account, Charge


@shared_task(bind=True, base=LockedTask, lock=Lock("account:{account_id}"))
def take_points(self: Any, account_id: int, charge_id: int) -> None:
    """Read, compute, write: exact because nobody else does so for this account meanwhile."""
    charge = Charge.objects.get(pk=charge_id)
    if charge.done:  # with acks_late a body whose worker died runs again
        return
    account = Account.objects.get(pk=account_id)
    left = account.points - charge.amount
    time.sleep(0.02)  # stands for what takes its time: an invoice, a call to another service
    with transaction.atomic():  # committed before the key is given back
        charge.done = True
        charge.save()
        mine = Account.objects.filter(pk=account_id, token__lte=self.lease.token)
        written = mine.update(points=left, token=self.lease.token)
        if not written:  # paused past its lease: somebody else has written; nothing is committed
            raise self.retry(countdown=0)
