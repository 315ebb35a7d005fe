"""Somebody who takes keys with the engine itself, and records it as a body does."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.errors import StoreError
from celery_lock.events import Subject
from celery_lock.model import Claim, Held
from celery_lock.stores.redis import RedisStore
from tests.faults.bodies import tell

__all__ = ["DEADLINE", "ENOUGH", "TTL", "Actor"]

TTL = 2.0
DEADLINE = 0.4
"""Seconds that a call to the store may take."""
ENOUGH = 15.0
BODY = 0.3

_numbers = count(1)


class Actor:
    """Somebody who wants keys, with an engine and a connection of its own."""

    def __init__(self, url: str, book: Path) -> None:
        self.store = RedisStore(url, deadline=DEADLINE)
        self.locker = Locker(self.store)
        self.book = book
        self.sent: list[str] = []

    def claim(self, key: str) -> Claim:
        """A new wish."""
        number = next(_numbers)
        return Claim(
            key, f"t{number}#n#{os.getpid()}#{uuid.uuid4().hex}", TTL, publication=f"p{number}"
        )

    def once(self, claim: Claim, seconds: float = 10.0) -> Grant | Held:
        """Wait once for a key; `StoreError` is for the caller."""
        return self.locker.wait(Ask(claim, Subject("t", claim.task_id, "t")), seconds)

    def granted(self, key: str) -> Grant:
        """Ask, and ask again after an error as a task that is sent again, until it is granted."""
        until = time.monotonic() + ENOUGH
        while time.monotonic() < until:
            claim = self.claim(key)
            with contextlib.suppress(StoreError):
                got = self.once(claim, 5.0)
                if isinstance(got, Grant):
                    return got
        raise AssertionError(f"{key} was never given within {ENOUGH:g} s")

    @contextlib.contextmanager
    def body(self, grant: Grant) -> Iterator[None]:
        """What a task records."""
        run, lease, claim = uuid.uuid4().hex, grant.lease, grant.ask.claim
        known = {"run": run, "key": lease.key, "pid": os.getpid()}
        known |= {"task_id": claim.task_id, "publication": claim.publication, "retry_no": 0}
        self.sent.append(claim.task_id)
        tell(self.book, "start", token=lease.token, **known)
        try:
            yield
        finally:
            tell(self.book, "end", how="done", lost=lease.lost, **known)

    def turn(self, key: str, seconds: float = BODY) -> None:
        """Get the key, hold it, give it back."""
        grant = self.granted(key)
        with self.body(grant):
            time.sleep(seconds)
        self.locker.release(grant)

    def close(self) -> None:
        """Give up the connections."""
        self.store.close()
