"""Keeps what one test leaves in its process out of the next: shared tasks, messages."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from celery import _state
from kombu.transport.memory import Channel

OF_TESTS = ("examples.", "tests.integration.locked_tasks")
"""Modules whose tasks are no other test's; those of plain tasks hurt nobody."""

_forgotten: dict[str, list[Callable[..., Any]]] = {}


def forget_shared_tasks() -> None:
    """Share the tasks of tests and of the examples with no further app.

    Celery shares every task with all apps to come (`shared=True`), for the life of the process:
    two tests with a task of one name would meet, and an app that a test made for one task would
    have those of an example that another test imported.
    """
    for share in list(_state._on_app_finalizers):
        body = inspect.getclosurevars(share).nonlocals.get("fun")  # builtin ones have none
        if _is_of_a_test(body):
            _state._on_app_finalizers.discard(share)
            _forgotten.setdefault(getattr(body, "__module__", ""), []).append(share)


def share_again(module: str) -> None:
    """Share the tasks of a module of tests with the apps to come, for the one test that asks."""
    for share in _forgotten.pop(module, []):
        _state.connect_on_app_finalize(share)


def forget_messages() -> None:
    """Empty the broker in memory: all apps of a process have one, and most one queue of a name."""
    Channel.queues.clear()


def _is_of_a_test(body: Callable[..., Any] | None) -> bool:
    module = getattr(body, "__module__", None) or ""
    return module.startswith(OF_TESTS) or "<locals>" in getattr(body, "__qualname__", "")
