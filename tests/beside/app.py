"""One app for all tools: a task for each policy, and plain ones beside them.

Publisher and worker begin the tool of `$BESIDE_TOOL` before anything else, as its users do.
"""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

from tests.beside import begin

TOOL = os.environ.get("BESIDE_TOOL", "plain")
begin.begin(TOOL)

from celery import Celery, Task  # noqa: E402
from celery.signals import task_received  # noqa: E402
from redis import Redis  # noqa: E402

from celery_lock import (  # noqa: E402
    Conflict,
    Lock,
    LockedTask,
    Scope,
    constant,
    exponential,
    fail,
    requeue,
    skip,
    wait,
)

SOON = constant(0.2)
GROWING = exponential(first=0.2, factor=3, cap=15, jitter=None)
NOTES = os.environ.get("BESIDE_NOTES", "redis://127.0.0.1:6379/1")
"""The database of the results: what bodies and policies noted is there too."""

app = Celery("beside")
app.conf.update(
    broker_url=os.environ.get("BESIDE_BROKER"),
    result_backend=NOTES,
    lock_store=os.environ.get("BESIDE_STORE"),
    lock_store_deadline=0.5,
    result_extended=True,
    broker_connection_retry_on_startup=True,
    task_acks_late=os.environ.get("BESIDE_ACKS") == "late",
)


if TOOL == "signed":
    certificate = os.environ["BESIDE_CERTIFICATE"]
    app.conf.update(
        task_serializer="auth",
        accept_content=["auth"],
        result_accept_content=["json"],
        security_key=certificate + ".key",
        security_certificate=certificate + ".pem",
        security_cert_store=certificate + ".pem",
    )
    app.setup_security()

BASE: Any = LockedTask
"""The base class of all locked tasks."""

if TOOL == "celery-once":
    from celery_once import QueueOnce

    class Once(LockedTask, QueueOnce):
        """Both: sent once while it is queued or runs, and run while it has its key."""

        abstract = True

    BASE = Once
    app.conf.ONCE = {
        "backend": "celery_once.backends.Redis",
        "settings": {"url": NOTES, "default_timeout": 60},
    }


@cache
def notes() -> Redis:
    """Where bodies and policies note what they saw."""
    return Redis.from_url(NOTES, decode_responses=True)  # knows by itself that it was forked


def note(name: str, task_id: str, value: Any) -> None:
    """Add a line to a list of a task's."""
    notes().rpush(f"{name}:{task_id}", str(value))


@task_received.connect(weak=False)
def received(request: Any, **_: Any) -> None:
    """How often a message came, by the main process's word."""
    note("received", request.id, time.time())


def counting(then: Any) -> Any:
    """A policy function that notes each attempt and answers `then`."""

    def policy(conflict: Conflict) -> Any:
        task_id = app.current_task.request.id
        note("attempts", task_id, conflict.attempt)
        note("met", task_id, time.time())
        return then(conflict) if callable(then) else then

    return policy


def third(conflict: Conflict) -> Any:
    """Until the third attempt."""
    return skip() if conflict.attempt >= 3 else requeue(SOON)


def seen(self: Any) -> dict[str, Any]:
    """What a body sees of its message, our own header aside."""
    headers = {name: "" for name in self.request.headers or {} if name != "celery_lock"}
    return {
        "retries": self.request.retries,
        "headers": sorted(headers),
        "trace": begin.trace_id(),
    }


def locked(name: str, **lock: Any) -> Any:
    """A locked task of some name; its key is its first argument unless `lock` says otherwise."""
    lock.setdefault("key", "{key}")
    return app.task(bind=True, base=BASE, name=name, max_retries=3, lock=Lock(**lock))


@app.task(bind=True, name="plain")
def plain(self: Task, key: str) -> dict[str, Any]:
    """As any task without a lock."""
    return seen(self)


@locked("bounded", on_conflict=counting(requeue(SOON, max_attempts=3)))
def bounded(self: Task, key: str) -> str:
    return "ran"


@locked("timed", on_conflict=counting(requeue(SOON, max_wait=0.7)))
def timed(self: Task, key: str) -> str:
    return "ran"


@locked("turned", on_conflict=requeue(SOON, max_attempts=2, then=skip(result="turned")))
def turned(self: Task, key: str) -> str:
    return "ran"


@locked("third", on_conflict=counting(third))
def third_time(self: Task, key: str) -> str:
    return "ran"


@locked("patient", on_conflict=requeue(SOON))
def patient(self: Task, key: str) -> dict[str, Any]:
    return seen(self)


@locked("growing", on_conflict=counting(requeue(GROWING, max_attempts=3)))
def growing(self: Task, key: str) -> str:
    return "ran"


@locked("skipped", on_conflict=skip(result="skipped"))
def skipped(self: Task, key: str) -> str:
    return "ran"


@locked("waits", on_conflict=wait(10))
def waits(self: Task, key: str) -> dict[str, Any]:
    return seen(self)


@locked("waits_in_vain", on_conflict=wait(0.3))
def waits_in_vain(self: Task, key: str) -> str:
    return "ran"


@locked("failed", on_conflict=fail())
def failed(self: Task, key: str) -> str:
    return "ran"


@locked("kept", key="kept:{key}", scope=Scope.ACROSS_RETRIES, on_conflict=fail())
def kept(self: Any, key: str) -> list[Any]:
    """Its second attempt has the key that its first one had."""
    if self.request.retries == 0:
        raise self.retry(countdown=1)
    while not notes().exists(f"gate:{self.request.id}"):  # who came meanwhile has had its answer
        time.sleep(0.05)
    return [self.request.retries, self.lease.key]


@locked("again", on_conflict=counting(requeue(SOON, max_attempts=4)))
def again(self: Any, key: str) -> int:
    """A retry begins to count anew."""
    if self.request.retries == 0:
        raise self.retry(countdown=1)
    return int(self.request.retries)


@locked("named", key="own:{key}", on_conflict=counting(requeue(SOON)))
def named(self: Any, key: str) -> list[str]:
    """The key that its sender named, in its first attempt and in its second."""
    note("keys", self.request.id, self.lease.key)
    if self.request.retries == 0:
        raise self.retry(countdown=0.1)
    return [self.lease.key]


@locked("tenants", key="{header[tenant]}:{queue}:{key}", on_conflict=counting(requeue(SOON)))
def tenants(self: Any, key: str) -> list[Any]:
    """Its retry has the key of its first attempt, whether or not the tool left it its headers."""
    note("keys", self.request.id, self.lease.key)
    if self.request.retries == 0:
        raise self.retry(countdown=0.1)
    return [self.request.retries, self.lease.key]


@locked("published", key="{header[tenant]}:{key}", scope=Scope.UNTIL_FINISHED)
def published(self: Any, key: str) -> str:
    """Its publisher takes the key."""
    while not notes().exists(f"gate:{key}"):
        time.sleep(0.05)
    return str(self.lease.key)


@locked("hourly", key="hourly:{key}:{bucket:1h}", on_conflict=counting(requeue(SOON)))
def hourly(self: Any, key: str) -> str:
    """The bucket of its publication; the first of two keeps the other waiting."""
    time.sleep(0.5)
    return str(self.lease.key)


@locked("step", on_conflict=requeue(SOON))
def step(self: Task, key: str, before: int = 0) -> int:
    return before + 1


@app.task(name="total")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="increase")
def increase(number: int) -> int:
    return number + 1


@locked("order", on_conflict=requeue(SOON))
def order(self: Any, key: str) -> str:
    """Sends another task on, once it has the key that it waited for."""
    return str(label.delay(f"label:{key}:{self.request.id}").id)


@locked("label", on_conflict=requeue(SOON))
def label(self: Any, key: str) -> str:
    note("labels", key.split(":")[1], key)
    return "ran"


@locked("moved", on_conflict=counting(requeue(SOON)))
def moved(self: Any, key: str) -> None:
    """Another task takes its place, and counts for itself."""
    raise self.replace(bounded.si(f"{key}.next"))


@locked("anew", key="anew:{key}", on_conflict=counting(requeue(SOON)))
def anew(self: Any, key: str, number: int = 1) -> None:
    """Sends itself once more, under its own id: new work."""
    note("runs", self.request.id, number)
    if number == 1:
        anew.apply_async((key, 2), task_id=self.request.id)


@locked("without", key="without:{key}")
def without(self: Any, key: str) -> int:
    """Sent while no store answers: how often it was sent again, by its header's own count.

    A claim that a store carried out before it was stopped is met by its own message, as a turn.
    """
    header = (self.request.headers or {}).get("celery_lock", {})
    return int(header.get("outages", 0)) + int(header.get("turns", 0))
