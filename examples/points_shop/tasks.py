"""The same charges as tasks."""

from __future__ import annotations

from celery import shared_task

from celery_lock import Lock, exponential, requeue

from .service import charge, charge_without_lock

# The pauses suit a body of a few milliseconds; the defaults suit one of seconds.
_AGAIN = requeue(exponential(first=0.05, cap=0.5))


# (the types of shared_task() do not know the option)
@shared_task(lock=Lock("user:point:{user_id}", on_conflict=_AGAIN))  # type: ignore
def charge_later(user_id: int, amount: int) -> int:
    return charge(user_id, amount)


@shared_task
def charge_later_without_lock(user_id: int, amount: int) -> int:
    return charge_without_lock(user_id, amount)
