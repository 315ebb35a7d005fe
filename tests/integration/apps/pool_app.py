"""Locked tasks that look at their lease, in whatever pool they run."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

from celery import Celery

from celery_lock import (
    Lock,
    LockedTask,
    LockError,
    constant,
    current_lease,
    fail,
    requeue,
)
from celery_lock.signals import lock_lost
from tests.integration.apps.history import tell

TTL = 3.0
"""A process of a busy machine stands still for most of a second at times, and greenlets have their
process in turn, the one that renews too: two seconds are left for that."""
BODY = 10 * TTL
CLIENT = "locks"
"""What the server calls the connections of our store."""
AGAIN = requeue(constant(0.2))

_all_here = threading.Event()
_here: set[Any] = set()


def our_threads() -> list[str]:
    """The name of each thread of ours in this process."""
    return sorted(t.name for t in threading.enumerate() if t.name.startswith("celery-lock"))


class Coroutines(LockedTask):  # type: ignore[type-arg]
    """Runs bodies that are coroutines, as the class of many a project does."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return asyncio.run(self.run(*args, **kwargs))


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("pool", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        # with kombu's ten, 200 greenlets that acknowledge at once break the worker's connection
        broker_transport_options={"max_connections": 500},
        lock_store_options={"client_name": CLIENT},
        **conf,
    )

    @app.task(
        bind=True,
        shared=False,
        base=LockedTask,
        name="pool.hold",
        lock=Lock("hold:{job}", ttl=TTL, on_conflict=AGAIN),
    )
    def hold(self: Any, job: str, seconds: float) -> int:
        """Keep the key for many times its ttl."""
        token = self.lease.token
        tell("start", job, token=token)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.lease.check()
            time.sleep(0.05)
        tell("end", job, token=token, lost=self.lease.lost, threads=our_threads())
        return token

    @app.task(
        bind=True,
        shared=False,
        base=LockedTask,
        name="pool.together",
        lock=Lock("together:{job}", ttl=TTL),
    )
    def together(self: Any, job: int, count: int) -> list[str]:
        """Wait, in one process, until so many are here, and then for longer than a ttl.

        Returns the name of each of our threads.
        """
        _here.add(job)
        if len(_here) >= count:
            _all_here.set()
        assert _all_here.wait(20), f"only {len(_here)} came together"
        time.sleep(1.5 * TTL)
        self.lease.check()
        return our_threads()

    @app.task(bind=True, shared=False, base=LockedTask, name="pool.look", lock=Lock("look:{job}"))
    def look(self: Any, job: str) -> dict[str, Any]:
        """All that a lease says."""
        lease = self.lease
        lease.check()
        return {
            "key": lease.key,
            "holder": lease.holder,
            "token": lease.token,
            "lost": lease.lost,
            "remaining": lease.remaining(),
            "current": current_lease() is lease,
            "id": self.request.id,
            "node": self.request.hostname,
            "pid": os.getpid(),
        }

    @app.task(
        bind=True,
        shared=False,
        base=LockedTask,
        name="pool.until_lost",
        lock=Lock("deleted:{job}", ttl=TTL),
    )
    def until_lost(self: Any, job: str) -> dict[str, Any]:
        """Go on until the lease is lost, and see what it says then."""
        tell("start", job)
        until = time.monotonic() + 15
        while not self.lease.lost and time.monotonic() < until:
            time.sleep(0.01)
        try:
            self.lease.check()
        except LockError as error:
            said = repr(error)
        return {"lost": self.lease.lost, "remaining": self.lease.remaining(), "said": said}

    @app.task(
        bind=True,
        shared=False,
        base=LockedTask,
        name="pool.checks",
        lock=Lock("deleted:{job}", ttl=TTL),
    )
    def checks(self: Any, job: str) -> None:
        """Do what a careful body does."""
        tell("start", job)
        until = time.monotonic() + 15
        while time.monotonic() < until:
            self.lease.check()
            time.sleep(0.01)

    @app.task(
        bind=True,
        shared=False,
        base=LockedTask,
        name="pool.refused",
        lock=Lock("hold:{job}", ttl=TTL, on_conflict=fail()),
    )
    def refused(self: Any, job: str) -> None:
        """Never runs beside `hold`."""

    @app.task(
        bind=True,
        shared=False,
        base=LockedTask,
        name="pool.again",
        lock=Lock("again", ttl=TTL, on_conflict=fail()),
    )
    def again(self: Any, depth: int) -> list[int]:
        """A body that calls its own task."""
        below = again(depth - 1) if depth else []
        return [*below, self.lease.token]

    @app.task(
        bind=True,
        shared=False,
        base=Coroutines,
        name="pool.awaits",
        lock=Lock("awaits:{job}", ttl=TTL, on_conflict=AGAIN),
    )
    async def awaits(self: Any, job: str, seconds: float) -> int:
        """Keep the key over the steps of a coroutine."""
        token: int = self.lease.token
        tell("start", job, token=token)
        for _ in range(10):
            await asyncio.sleep(seconds / 10)
            self.lease.check()
        tell("end", job, token=token)
        return token

    @lock_lost.connect(weak=False)
    def _(sender: Any, fact: Any, **_: Any) -> None:
        tell(
            "lost",
            fact.key,
            task_id=fact.task_id,
            reason=fact.reason,
            sender=getattr(sender, "name", None),
            thread=threading.current_thread().name,
        )

    return app


app = make_app()
