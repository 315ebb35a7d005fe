"""Locks in memory with a clock of their own: for the unit tests of tasks that are locked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any

from ..app.locks import checked_app, locks_of
from ..engine.locker import Locker
from ..errors import LockConfigurationError, LockError
from ..events import Fact, Observers
from ..model import Claim, Held, Holder, Lease, checked_limit
from ..model.durations import Duration
from ..model.durations import seconds as checked_seconds
from ..stores.manual_clock import ManualClock
from ..stores.memory import MemoryServer, MemoryStore
from ..task.call_keys import keys_of_call
from .faulty_store import FaultyStore

__all__ = ["MemoryLocks", "memory_locks"]

_EPOCH = 1_700_000_000.0
"""Seconds since 1970 at which the time of a test begins."""


class MemoryLocks:
    """What a test may do with the locks of an app, and see of them."""

    def __init__(
        self, locker: Locker, store: FaultyStore, clock: ManualClock, facts: list[Fact]
    ) -> None:
        self._locker = locker
        self.store = store
        """The store of these locks: it fails as the test says."""
        self._clock = clock
        self._others: dict[str, list[Lease]] = {}
        self._calls = count()
        self.facts = facts
        """Everything that happened, in order: `celery_lock.events.Acquired` and the like."""

    def hold(
        self, key: str, *, task_id: str = "another-task", ttl: Duration = 30.0, limit: int = 1
    ) -> Lease:
        """Take `key` for another task, which is never heard of again: it is free after `ttl`.

        `limit`: that of the lock, of which each call takes one permit, each for another task.

        Raises `LockError` if it is taken, or can be no key.
        """
        if not isinstance(key, str) or not key:
            raise LockError(
                f"hold(key)={key!r} is no key; give a text such as 'order:7', or what"
                " locks.key_of(task, 7) returns"
            )
        ttl = checked_seconds(ttl, "hold(ttl)")
        limit, others = checked_limit(limit, "hold(limit)"), self._others.setdefault(key, [])
        taken = {Holder.parse(one.holder).task_id for one in others}
        name, numbers = task_id, count(2)
        while limit > 1 and name in taken:
            name = f"{task_id}-{next(numbers)}"
        # a holder that asks again has the lease that it has
        holder = str(Holder(name, "another", 1, str(next(self._calls))))
        got = self.store.inner.acquire(Claim(key, holder, ttl, limit=limit))
        if isinstance(got, Held):
            raise LockError(f"lock {key!r} is held by {got.holder} already")
        others.append(got)
        return got

    def free(self, key: str) -> None:
        """Give back what `hold()` took; of several permits the one that it took first.

        Raises `LockError` where it has taken nothing, or all of it is given back.
        """
        others = self._others.get(key)
        if not others:
            raise LockError(
                f"nothing is there to free: hold({key!r}) has not taken it, or it was freed before;"
                " holder(key) says who has a key"
            )
        self.store.inner.release(others.pop(0))

    def holder(self, key: str) -> Holder | None:
        """Who has `key` at this moment; `None`: nobody."""
        held = self.store.inner.peek(key)
        return None if held is None else Holder.parse(held.holder, held.since)

    def holders(self, key: str) -> list[Holder]:
        """Who has each permit of `key` at this moment, in the order of their slots."""
        held = self.store.inner.peek(key)
        return [Holder.parse(one.holder, one.since) for one in held.holders] if held else []

    def key_of(self, task: Any, *args: Any, **kwargs: Any) -> str:
        """Return the key that `task` takes when it is applied now, with these arguments.

        Of a task with several locks that of the first one: see `keys_of`.
        """
        return self.keys_of(task, *args, **kwargs)[0]

    def keys_of(self, task: Any, *args: Any, **kwargs: Any) -> list[str]:
        """Return the keys that `task` takes so, one for each of its locks and in their order."""
        if not (hasattr(task, "apply_async") and hasattr(task, "request")):  # a signature has none
            raise LockConfigurationError(
                f"{task!r} is no task; give the task itself, such as locks.key_of(shop.top_up, 7)"
            )
        return keys_of_call(task, args, kwargs, {})

    def advance(self, seconds: Duration, *, renewing: bool = True) -> None:
        """Let time pass. `renewing=False`: as for a worker that is paused meanwhile."""
        until = self._clock() + checked_seconds(seconds, "advance(seconds)", zero=True)
        while renewing and self._clock() < until:
            due = min(self._locker.move_on(), until)
            self._clock.move(max(due - self._clock(), 1e-6))
        self._clock.move(max(0.0, until - self._clock()))
        self._locker.keeper.notify_losses()

    def store_down(self) -> AbstractContextManager[None]:
        """While this lasts, the store gives no answer."""
        return self.store.down()


@contextmanager
def memory_locks(app: Any) -> Iterator[MemoryLocks]:
    """Keep the locks of `app` in memory while this lasts, with a clock that a test moves."""
    app = checked_app(app, f"memory_locks(app): {app!r}", "memory_locks(shop.app)")
    clock = ManualClock(jumps=True)
    store = FaultyStore(MemoryStore(MemoryServer(clock, epoch=_EPOCH)), pause=clock.move)
    facts: list[Fact] = []
    locks = locks_of(app)
    observers = Observers(facts.append, locks.observers.notify)
    locker = Locker(store, clock=clock, observers=observers, pause=clock.move, threads=False)
    before, now = locks.swap(locker), locks.now
    locks.now = lambda: _EPOCH + clock()
    try:
        yield MemoryLocks(locker, store, clock, facts)
    finally:
        locks.swap(before)
        locks.now = now
