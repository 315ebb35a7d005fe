"""Keeps the tasks of one test out of the apps of the next."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from celery import _state


def forget_local_tasks() -> None:
    """Share the tasks that tests wrote inside of functions with no further app.

    Celery shares every task with all apps to come (`shared=True`), for the life of the process:
    two tests with a task of one name would meet. Tasks of modules are left alone.
    """
    for share in list(_state._on_app_finalizers):
        if "<locals>" in _name_of_the_body(share):
            _state._on_app_finalizers.discard(share)


def _name_of_the_body(share: Callable[..., Any]) -> str:
    body = inspect.getclosurevars(share).nonlocals.get("fun")  # builtin ones have none
    return getattr(body, "__qualname__", "")
