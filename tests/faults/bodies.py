"""What the bodies do, and what each records of its own run."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery.exceptions import Ignore, Reject

from celery_lock import LockedTask
from celery_lock.app.locks import locks_of
from celery_lock.message.delivery import publication_of
from celery_lock.message.header import Header
from tests.faults.history import read
from tests.faults.rows import LONG_TTL

TTL = "TEST_TTL"
"""The variable that says the ttl of the locks."""

QUICK = 0.3
LAST = 2.0
LINGER = 5.0
FOREVER = 25.0
"""Seconds after which a body that waits for its fault gives up, and the row is wrong."""
CLEANUP = 0.2
"""Seconds that a run goes on after it has sent its retry."""


class TryAgain(Exception):
    """What Celery retries by itself."""


# -- what the bodies record ---------------------------------------------------------------------


@dataclass
class Note:
    """What a body knows about its own run."""

    book: str
    key: str
    run: str
    how: str = "cut"
    again: bool = False
    """The task has run before."""
    seconds: float = 0.0
    """How long it was told to take; 0: as the body likes."""

    def tell(self, what: str, **more: Any) -> None:
        """Add a line."""
        tell(self.book, what, run=self.run, key=self.key, pid=os.getpid(), **more)


def tell(book: str | Path, what: str, **more: Any) -> None:
    """Append one line, in one write: several processes do not mix theirs."""
    line = json.dumps({"what": what, "at": time.monotonic()} | more) + "\n"
    file = os.open(book, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def dead(pid: int) -> bool:
    """The process is no more; one that nobody has reaped yet runs no body."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def told(task: Any, book: str, key: str, seconds: float = 0.0) -> Iterator[Note]:
    """The body's start and end are recorded."""
    request, lines = task.request, read(Path(book))
    note = Note(book, key, uuid.uuid4().hex, seconds=seconds)
    note.again = any(e["what"] == "start" and e["task_id"] == request.id for e in lines)
    lease = task.lease if isinstance(task, LockedTask) else None
    ended = {line["run"] for line in lines if line["what"] == "end"}
    others = [e for e in lines if e["what"] == "start" and e["key"] == key]
    found_dead = [e["run"] for e in others if e["run"] not in ended and dead(e["pid"])]
    header = Header.of(request)
    note.tell(
        "start",
        task_id=request.id,
        publication=publication_of(request, header, locks_of(task.app).transport),
        retry_no=request.retries,
        token=lease.token if lease else None,
        holder=lease.holder if lease else None,
        redelivered=bool((request.delivery_info or {}).get("redelivered")),
        dead=found_dead,
    )
    try:
        yield note
    finally:
        note.tell("end", how=note.how, lost=bool(lease and lease.lost))


# -- the bodies ---------------------------------------------------------------------------------


def wait_for_fault(seconds: float = FOREVER) -> None:
    """Sleep in small pieces, as a body that does something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.02)


def returns(task: Any, note: Note) -> None:
    time.sleep(note.seconds or QUICK)
    note.how = "done"


def lasts(task: Any, note: Note) -> None:
    wait_for_fault(LAST)
    note.how = "done"


def lingers(task: Any, note: Note) -> None:
    wait_for_fault(LINGER)
    note.how = "done"


def raises(task: Any, note: Note) -> None:
    time.sleep(QUICK)
    note.how = "done"
    raise ValueError("as it was asked to")


def ignores(task: Any, note: Note) -> None:
    time.sleep(QUICK)
    note.how = "done"
    raise Ignore


def rejects(task: Any, note: Note) -> None:
    time.sleep(QUICK)
    note.how = "done"
    raise Reject("as it was asked to", requeue=False)


def requeues(task: Any, note: Note) -> None:
    time.sleep(note.seconds or QUICK)
    note.how = "again"
    raise Reject("as it was asked to", requeue=True)


def retries(task: Any, note: Note, countdown: float = 0) -> None:
    time.sleep(note.seconds or QUICK)
    note.how = "again"
    try:
        raise task.retry(countdown=countdown)
    finally:
        time.sleep(CLEANUP)


def retries_later(task: Any, note: Note) -> None:
    retries(task, note, countdown=1)


def fails_once(task: Any, note: Note) -> None:
    time.sleep(note.seconds or QUICK)
    note.how = "again"
    raise TryAgain


def replaces(task: Any, note: Note) -> None:
    time.sleep(note.seconds or QUICK)
    note.how = "again"
    queue = task.request.delivery_info["routing_key"]
    raise task.replace(task.si(*task.request.args).set(queue=queue))


def waits(task: Any, note: Note) -> None:
    wait_for_fault()


def swallows(task: Any, note: Note) -> None:
    until = time.monotonic() + FOREVER
    while time.monotonic() < until:
        try:
            time.sleep(0.02)
        except SystemExit:
            note.tell("swallowed")


def outlives(task: Any, note: Note) -> None:
    wait_for_fault(3 * seconds_of(TTL, LONG_TTL))
    note.how = "done"


def is_paused(task: Any, note: Note) -> None:
    wait_for_fault(1.5 * seconds_of(TTL, LONG_TTL))  # the pause is longer
    note.how = "done"


BODIES: dict[str, Callable[[Any, Note], None]] = {
    body.__name__.replace("_", " "): body
    for body in (
        returns, lasts, lingers, raises, ignores, rejects, requeues, retries, retries_later,
        fails_once, replaces, waits, swallows, outlives, is_paused,
    )
}  # fmt: skip


def seconds_of(variable: str, default: float) -> float:
    """A number of seconds from the environment."""
    return float(os.environ.get(variable, default))
