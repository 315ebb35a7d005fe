"""The tasks that meet a store that is down, and what their worker records of it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from celery_lock import LeaseLost, Lock, LockedTask, LockError
from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.model import Held
from celery_lock.signals import lock_store_failed
from tests.faults.bodies import tell
from tests.stores.app import go_through

__all__ = ["DEADLINE", "SETUP", "TTL", "make_app"]

SETUP = "TEST_DOWN"
"""A variable with all that a worker has to know: url, options, book, ways."""

DEADLINE = 1.0
TTL = 4.0
PIECE = 0.02
"""Seconds between two looks of a body at its lease."""
FOREVER = 40.0
"""Seconds after which a body that waits for the end of its lease gives up."""


class Ways(dict[int, int]):
    """Where a connection to a port has to go instead, as a file says at that moment."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def __contains__(self, port: object) -> bool:
        return str(port) in json.loads(self._file.read_text())

    def __getitem__(self, port: int) -> int:
        return int(json.loads(self._file.read_text())[str(port)])


def make_app(setup: dict[str, Any], **conf: Any) -> Any:
    """One app for the worker (by environment) and one for who sends."""
    app: Any = Celery("down", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        lock_store=setup["url"],
        lock_store_options=setup["options"],
        lock_store_deadline=DEADLINE,
        **conf,
    )
    book = setup["book"]

    def locked(name: str, body: Any, **options: Any) -> None:
        lock = Lock(f"{name}:{{job}}", ttl=TTL, **options)
        app.task(body, name=f"down.{name}", bind=True, shared=False, base=LockedTask, lock=lock)

    def run(self: Any, job: int) -> str:
        try:
            self.lease.check()
        except LockError as error:
            return f"unlocked: {error}"
        tell(book, "locked", task=self.name)
        return "locked"

    def until_lost(self: Any, job: int) -> str:
        """Ask, until the lease is lost."""
        lease, begun = self.lease, time.monotonic()
        tell(book, "holds", task=self.name)
        while time.monotonic() < begun + FOREVER:
            ends = time.monotonic() + lease.remaining()
            time.sleep(PIECE)
            if lease.lost:
                tell(book, "told", task=self.name, ends=ends)
                return str(lease.reason)
        return "was not told"

    def until_interrupted(self: Any, job: int) -> str:
        """Ask nothing."""
        lease, begun = self.lease, time.monotonic()
        tell(book, "holds", task=self.name)
        ends = begun
        try:
            while time.monotonic() < begun + FOREVER:
                ends = time.monotonic() + lease.remaining()
                time.sleep(PIECE)
        except LeaseLost:
            tell(book, "told", task=self.name, ends=ends)
            raise
        return "was not told"

    locked("requeues", run, on_store_error="requeue")
    locked("runs", run, on_store_error="run")
    locked("fails", run, on_store_error="fail")
    locked("asks", until_lost)
    locked("is_interrupted", until_interrupted, on_lost="interrupt")

    @app.task(name="down.plain", shared=False)
    def plain(job: int) -> str:
        return "ran"

    return app


# -- what a worker records ---------------------------------------------------------------------


def record_claims(book: str) -> None:
    """Record how long each claim of a task takes its thread."""
    claim = Locker.claim

    def timed(self: Locker, ask: Ask, *, waited: float = 0.0) -> Grant | Held:
        began = time.monotonic()
        try:
            return claim(self, ask, waited=waited)
        finally:
            seconds = time.monotonic() - began
            tell(book, "claim", key=ask.claim.key, seconds=seconds, pid=os.getpid())

    Locker.claim = timed  # type: ignore[method-assign]


def _note_failure(sender: Any, fact: Any, **_: Any) -> None:
    tell(_setup["book"], "failed", task=fact.task, key=fact.key, call=fact.call, error=fact.error)


_setup: dict[str, Any] = json.loads(os.environ.get(SETUP, "{}"))
if _setup:
    go_through(Ways(Path(_setup["ways"])))
    record_claims(_setup["book"])
    lock_store_failed.connect(_note_failure)
    app = make_app(_setup)
