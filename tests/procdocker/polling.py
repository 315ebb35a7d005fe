"""pytest-docker-tools looks once a second; processes are ready sooner than containers."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module

import pytest
from pytest_docker_tools.exceptions import TimeoutError as NotInTime

POLL = 0.05
"""Seconds between two looks."""

USERS = (
    "pytest_docker_tools.utils",
    "pytest_docker_tools.factories.container",
    "pytest_docker_tools.wrappers.container",
    "pytest_celery.api.base",
    "pytest_celery.api.container",
)
"""The modules that hold the slow function under their own name."""


def wait_for_callable(message: str, func: Callable[[], object], timeout: float = 30) -> None:
    """Take the place of pytest-docker-tools' own; look at least once, even with no time."""
    deadline = time.monotonic() + timeout
    while not func():
        if time.monotonic() >= deadline:
            raise NotInTime(f"Timeout of {timeout}s exceeded")
        time.sleep(POLL)


def poll_fast(patch: pytest.MonkeyPatch) -> None:
    """Make every wait of both packages look each 50 ms."""
    for module in USERS:
        # by import_module: one of them is hidden behind a function of the same name
        patch.setattr(import_module(module), "wait_for_callable", wait_for_callable)
