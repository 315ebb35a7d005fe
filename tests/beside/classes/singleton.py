"""celery-singleton: sent once while it is queued or runs, and run while it has its key."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery_singleton import Singleton

from celery_lock import Lock, LockedTask, constant, requeue
from tests.beside.classes.notes import URL, noted, overlaps, running, until

app = Celery("singleton", broker=URL, backend=URL)
app.conf.broker_connection_retry_on_startup = True
LOCK = Lock("shelf", on_conflict=requeue(constant(0.1)))


class LockedSingleton(LockedTask, Singleton):
    """Both."""

    abstract = True


class TheOtherWay(Singleton, LockedTask):
    """Both, ours last."""

    abstract = True


def work(name: str, base: Any) -> Any:
    """A task of one of these classes."""

    @app.task(name=name, base=base, lock=LOCK, shared=False)
    def task(number: int) -> None:
        with running("all", number=number):
            pass

    return task


TASKS = [work("first", LockedSingleton), work("last", TheOtherWay)]


def facts() -> dict[str, Any]:
    """Send each twice, wait, and send each once more."""
    ids = {task.delay(number).id for task in TASKS for number in (1, 2) for _ in range(2)}
    until(lambda: len(noted("all")) == 4)
    until(lambda: all(app.AsyncResult(each).ready() for each in ids))
    ids |= {task.delay(1).id for task in TASKS}
    until(lambda: len(noted("all")) == 6)
    return {"sent": len(ids), "ran": len(noted("all")), "overlaps": overlaps("all")}


EXPECTED = {"sent": 6, "ran": 6, "overlaps": 0}
