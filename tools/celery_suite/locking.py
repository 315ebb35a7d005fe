"""A plugin of pytest that gives each task of Celery's suite a lock.

`$SUITE_LOCK` says which: `request`, a key of its own for each request, or `arguments`, `Lock()`.
Celery's own builtin tasks (`celery.*`) stay as they are.
"""

from __future__ import annotations

import os
from typing import Any

import celery
from celery import current_task
from celery.contrib.testing import app as testing_app

from celery_lock import Lock, LockedTask


def _own_key(*args: Any, **kwargs: Any) -> str:
    return f"request:{current_task.request.id}"


LOCKS = {"request": Lock(_own_key), "arguments": Lock()}


class EveryTask:
    """An annotation that puts the lock on every task but the builtin ones."""

    def annotate(self, task: Any) -> dict[str, Any] | None:
        name = task.name or ""
        return None if name.startswith("celery.") else {"lock": LOCKS[os.environ["SUITE_LOCK"]]}

    def annotate_any(self) -> None:
        return None


def pytest_configure() -> None:
    """Make all apps of the suite, and its task classes, those of locked tasks."""
    make = testing_app.TestApp

    def locked_app(*args: Any, config: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        more = {"task_annotations": [EveryTask()], "lock_store": os.environ["SUITE_STORE"]}
        return make(*args, config={**(config or {}), **more}, task_cls=LockedTask, **kwargs)

    testing_app.TestApp = locked_app
    celery.Task = LockedTask  # `class Own(Task)` in the suite
