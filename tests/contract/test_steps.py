"""How many functions of the package a usual run and a publish call: each task pays for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from celery import Celery

import celery_lock
from celery_lock import Lock, Scope
from celery_lock.app.locks import locks_of
from celery_lock.message import HEADER
from tests.unit.engine import deliver, locked

pytestmark = pytest.mark.contract

PACKAGE = str(Path(celery_lock.__file__).parent)
WARM = 5
"""Runs before the one that is counted: they open connections, and send scripts."""


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = Celery("steps", broker="memory://", set_as_current=False)
    app.conf.update(lock_store=redis_url, task_ignore_result=True)
    yield app
    locks_of(app).locker.store.close()


def calls_in(call: Callable[[], object]) -> int:
    """How many functions of the package are called here."""
    count = 0

    def look(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


def test_a_usual_run_goes_through_less_than_150(app: Celery) -> None:
    task = locked(app, Lock("user:{user_id}"))(charge)

    def run(id: str = "id-1") -> None:
        header = {"v": 1, "id": id, "publication": f"name-of-{id}"}
        assert deliver(task, 7, id=id, headers={HEADER: header}).state == "SUCCESS"

    for number in range(WARM):
        run(f"warm-{number}")

    assert calls_in(run) < 150


def test_a_usual_publish_goes_through_less_than_130(app: Celery) -> None:
    task: Any = locked(app, Lock("user:{user_id}", scope=Scope.UNTIL_FINISHED))(charge)
    for number in range(WARM):
        task.apply_async((number,))

    assert calls_in(lambda: task.apply_async((WARM,))) < 130


def charge(user_id: int) -> None: ...
