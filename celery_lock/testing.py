"""Locks in memory with a clock of their own: for the unit tests of tasks that are locked.

    from celery_lock.testing import memory_locks

    def test_a_second_charge_is_skipped():
        with memory_locks(app) as locks:
            locks.hold("order:7")

            result = charge.apply(args=[7])

            assert is_skipped(result.get())

Use it with tasks that run where they are called: `task.apply()`, or `task_always_eager`. No
server is needed and nothing sleeps; `wait()` moves the clock instead. This does not test what a
broker does: in eager mode nothing is ever sent, so `requeue()` raises `LockConflict` at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .app.locks import locks_of
from .engine.keeper import Keeper
from .engine.locker import Locker
from .errors import LockError, StoreUnavailable
from .events import Fact, Observers
from .keys import MessageContext
from .model import Change, Changed, Claim, End, Held, Holder, Lease, Outcome, Record
from .stores.memory import MemoryStore
from .stores.space import ManualClock, Space

__all__ = ["MemoryLocks", "memory_locks"]

_EPOCH = 1_700_000_000.0
"""Seconds since 1970 at which the time of a test begins."""


class _Store(MemoryStore):
    """A memory store that can be down."""

    down = False

    def _answer(self) -> None:
        if self.down:
            raise StoreUnavailable(self.url, "the test says that it is down")

    def acquire(self, claim: Claim) -> Lease | Held:
        self._answer()
        return super().acquire(claim)

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        self._answer()
        return super().renew(renewals, within=within)

    def release(self, lease: Lease, end: End | None = None) -> bool:
        self._answer()
        return super().release(lease, end)

    def free(self, key: str, holder: str, *, floor: bool = False) -> Held | None:
        self._answer()
        return super().free(key, holder, floor=floor)

    def undo(self, claim: Claim) -> None:
        self._answer()
        super().undo(claim)

    def change(self, change: Change) -> Changed:
        self._answer()
        return super().change(change)

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        self._answer()
        return super().records(space, names)

    def names(self, space: str) -> list[str]:
        self._answer()
        return super().names(space)


class MemoryLocks:
    """What a test may do with the locks of an app, and see of them."""

    def __init__(
        self, locker: Locker, store: _Store, clock: ManualClock, facts: list[Fact]
    ) -> None:
        self._locker = locker
        self._store = store
        self._clock = clock
        self._others: dict[str, Lease] = {}
        self.facts = facts
        """Everything that happened, in order: `celery_lock.events.Acquired` and the like."""

    def hold(self, key: str, *, task_id: str = "another-task", ttl: float = 30.0) -> Lease:
        """Take `key` for another task, which is never heard of again: it is free after `ttl`.

        Raises `LockError` if it is taken.
        """
        got = self._store.acquire(Claim(key, str(Holder(task_id, "another", 1, "0")), ttl))
        if isinstance(got, Held):
            raise LockError(f"lock {key!r} is held by {got.holder} already")
        self._others[key] = got
        return got

    def free(self, key: str) -> None:
        """Give back what `hold()` took."""
        self._store.release(self._others.pop(key))

    def holder(self, key: str) -> Holder | None:
        """Who has `key` at this moment; `None`: nobody."""
        held = self._store.peek(key)
        return None if held is None else Holder.parse(held.holder, held.since)

    def key_of(self, task: Any, *args: Any, **kwargs: Any) -> str:
        """Return the key that `task` takes when it is applied now, with these arguments."""
        bound = getattr(task, "_bound_lock", None)
        if bound is None:
            raise LockError(f"task {task.name} has no lock")
        now = locks_of(task.app).now()
        key: str = bound.key.render(args, kwargs, MessageContext(first_published=now))
        return key

    def advance(self, seconds: float, *, renewing: bool = True) -> None:
        """Let time pass. `renewing=False`: as for a worker that is paused meanwhile."""
        until = self._clock() + seconds
        keeper = self._locker.keeper
        while renewing and self._clock() < until:
            due = min(keeper.renew(), keeper.notify_losses(), until)
            self._clock.move(max(due - self._clock(), 1e-6))
        self._clock.move(max(0.0, until - self._clock()))
        keeper.notify_losses()

    @contextmanager
    def store_down(self) -> Iterator[None]:
        """While this lasts, the store gives no answer."""
        self._store.down = True
        try:
            yield
        finally:
            self._store.down = False


@contextmanager
def memory_locks(app: Any) -> Iterator[MemoryLocks]:
    """Keep the locks of `app` in memory while this lasts, with a clock that a test moves."""
    clock = ManualClock(jumps=True)
    store = _Store(Space(clock, epoch=_EPOCH))
    facts: list[Fact] = []
    locks = locks_of(app)
    observers = Observers(facts.append, locks.observers.notify)
    keeper = Keeper(store, clock=clock, threads=False)
    locker = Locker(store, clock=clock, observers=observers, keeper=keeper, pause=clock.move)
    before, now = locks.swap(locker), locks.now
    locks.now = lambda: _EPOCH + clock()
    try:
        yield MemoryLocks(locker, store, clock, facts)
    finally:
        locks.swap(before)
        locks.now = now
