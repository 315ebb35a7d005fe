"""celery-batches: its class is refused with what to write, and what is written is locked."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery_batches import Batches

from celery_lock import Lock, LockConfigurationError, LockedTask, constant, requeue
from tests.beside.classes.notes import URL, noted, overlaps, running, until

app = Celery("batches", broker=URL, backend=URL)
app.conf.broker_connection_retry_on_startup = True


class LockedBatches(LockedTask, Batches):
    """Both, which cannot be locked."""

    abstract = True


@app.task(name="store", base=LockedTask, lock=Lock("shelf", on_conflict=requeue(constant(0.1))))
def store(number: int) -> None:
    """One at a time."""
    with running("store"):
        pass


@app.task(name="collect", base=LockedBatches, lock=None, flush_every=2, flush_interval=1)
def collect(requests: list[Any]) -> None:
    """Send a locked task for each message of the batch."""
    with running("collect", 0, size=len(requests)):
        for request in requests:
            store.delay(*request.args)


def facts() -> dict[str, Any]:
    """Send, and say what came of it."""
    for number in range(4):
        collect.delay(number)
    until(lambda: len(noted("store")) == 4)
    return {
        "refused": [said(order) for order in ((LockedTask, Batches), (Batches, LockedTask))],
        "messages in batches": sum(run["size"] for run in noted("collect")),
        "ran": len(noted("store")),
        "overlaps": overlaps("store"),
    }


def said(bases: tuple[type, ...]) -> str:
    """What is said of a lock on the class of batches."""
    other = Celery("other", set_as_current=False)
    both = type("Both", bases, {"abstract": True})
    try:
        other.task(base=both, lock=Lock("shelf"), shared=False, lazy=False)(facts)
    except LockConfigurationError as error:
        return str(error).partition(",")[0]
    return "nothing"


EXPECTED = {
    "refused": [
        "task tests.beside.classes.batches.facts cannot be locked:"
        " Batches has a Strategy of its own"
    ]
    * 2,
    "messages in batches": 4,
    "ran": 4,
    "overlaps": 0,
}
