"""Counts the functions of the package that a usual run and a publish call, in a fresh process.

Other tests leave receivers and levels of loggers behind, and each of these costs a call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from celery import Celery

import celery_lock
from celery_lock import Lock, Scope
from celery_lock.app.locks import locks_of
from celery_lock.message import HEADER
from tests.unit.engine import deliver, locked

PACKAGE = str(Path(celery_lock.__file__).parent)
WARM = 5
"""Calls before the one that is counted: they open connections, and send scripts."""


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


def in_a_run(app: Celery) -> int:
    task = locked(app, Lock("user:{user_id}"))(charge)

    def run(id: str = "id-1") -> None:
        header = {"v": 1, "id": id, "publication": f"name-of-{id}"}
        assert deliver(task, 7, id=id, headers={HEADER: header}).state == "SUCCESS"

    for number in range(WARM):
        run(f"warm-{number}")
    return calls_in(run)


def in_a_publish(app: Celery) -> int:
    task: Any = locked(app, Lock("user:{user_id}", scope=Scope.UNTIL_FINISHED))(charge)
    for number in range(WARM):
        task.apply_async((number,))
    return calls_in(lambda: task.apply_async((WARM,)))


def charge(user_id: int) -> None: ...


if __name__ == "__main__":
    app = Celery("steps", broker="memory://", set_as_current=False)
    app.conf.update(lock_store=sys.argv[1], task_ignore_result=True)
    print({"run": in_a_run, "publish": in_a_publish}[sys.argv[2]](app))
    locks_of(app).locker.store.close()
