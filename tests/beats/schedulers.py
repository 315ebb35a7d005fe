"""The mixin over schedulers that are not ours."""

from __future__ import annotations

from celery.beat import PersistentScheduler

from celery_lock.beat import LockedSchedulerMixin
from tests.beats.own_scheduler import OwnScheduler

__all__ = ["LockedOwn", "LockedPersistent"]


class LockedPersistent(LockedSchedulerMixin, PersistentScheduler):
    """Over Celery's own, which keeps a file."""


class LockedOwn(LockedSchedulerMixin, OwnScheduler):
    """Over a user's."""
