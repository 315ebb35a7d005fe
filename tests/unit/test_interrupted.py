"""A time limit or a stop may fall between any two steps: no key stays taken.

Python runs a signal's handler as a function is entered and as a call to C has returned. That is
where a profiler is called too, so one that raises stands in for the signal: at each such moment
of a whole delivery in turn.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from celery.exceptions import Ignore

import celery_lock
from celery_lock import Lock, Scope, requeue, wait
from celery_lock.message import Given

from .engine import Engine, arrived, locked

PACKAGE = Path(celery_lock.__file__).parent
OURS = str(PACKAGE)
STORES = str(PACKAGE / "stores")
THREADING = threading.__file__


class Stop:
    """Raises at one moment, counted from 1; `hit` says whether it came to that."""

    def __init__(self, moment: int, error: BaseException) -> None:
        self.left = moment
        self.error = error
        self.hit = False

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event in ("call", "c_return") and self._is_ours(frame):
            self.left -= 1
            if self.left == 0:
                self.hit = True
                sys.setprofile(None)
                raise self.error

    def _is_ours(self, frame: FrameType | None) -> bool:
        """In the engine, or in a lock that the engine takes; not inside a store."""
        where = frame.f_code.co_filename if frame else ""
        if where == THREADING and frame:
            return self._is_ours(frame.f_back)
        return where.startswith(OURS) and not where.startswith(STORES)


def stopped(moment: int, error: BaseException, run: Callable[[], Any]) -> bool:
    stop = Stop(moment, error)
    sys.setprofile(stop)
    try:
        run()
    except type(error):
        pass
    finally:
        sys.setprofile(None)
    return stop.hit


def body() -> None:
    """Do nothing."""


def delivered(task: Any) -> None:
    """Run a message without Celery's tracer, which would catch the stop and write a report."""
    task.push_request(id="id-1", called_directly=False, properties=Given({}, arrived()))
    try:
        with contextlib.suppress(Ignore):
            task()
    finally:
        task.pop_request()


SEVERAL = [Lock("k"), Lock("k2"), Lock("p", scope=Scope.UNTIL_STARTED)]

STORIES: dict[str, tuple[Any, Callable[[Engine], Any]]] = {
    "a free key": (Lock("k"), lambda engine: None),
    "an interrupt": (Lock("k", on_lost="interrupt"), lambda engine: None),
    "a wait": (Lock("k", on_conflict=wait(20)), lambda engine: engine.hold(ttl=0.5)),
    "a requeue": (Lock("k", on_conflict=requeue()), lambda engine: engine.hold(ttl=0.5)),
    "several keys": (SEVERAL, lambda engine: None),
}


@pytest.mark.parametrize(
    ("story", "error"),
    [*((story, SoftTimeLimitExceeded()) for story in STORIES), ("a free key", SystemExit(1))],
    ids=repr,
)
def test_at_no_moment_of_a_delivery_does_a_stop_leave_the_key_taken(
    story: str, error: BaseException
) -> None:
    lock, begin = STORIES[story]
    app = Engine().app()
    task = locked(app, lock, name="t")(body)
    moment = 0
    hit = True
    while hit:
        moment += 1
        engine = Engine()
        engine.install(app)
        begin(engine)

        hit = stopped(moment, error, lambda: delivered(task))

        engine.settle()
        assert len(engine.keeper) == 0, moment
        for key in ("k", "k2", "p%queued"):
            assert engine.holder_of(key) is None, (key, moment)
    assert moment > 50  # the delivery went on to its end, and had many moments
