"""Locks for Celery tasks: a task that declares one runs once at a time for each key."""

from __future__ import annotations

from .backoff import constant, exponential
from .errors import LeaseLost, LockConfigurationError, LockConflict, LockError, StoreError
from .model import Conflict, Lease, Lock, Scope
from .outside.hold import hold
from .outside.peek import peek
from .policies import fail, is_skipped, requeue, skip, wait
from .task.lease_here import current_lease
from .task.locked_task import LockedTask

__all__ = [
    "Conflict",
    "Lease",
    "LeaseLost",
    "Lock",
    "LockConfigurationError",
    "LockConflict",
    "LockError",
    "LockedTask",
    "Scope",
    "StoreError",
    "constant",
    "current_lease",
    "exponential",
    "fail",
    "hold",
    "is_skipped",
    "peek",
    "requeue",
    "skip",
    "wait",
]
