"""The keeper: renews every lease of this process, and tells which one was lost, and when.

Two daemon threads for any number of leases, started at first need and started afresh after a
fork. The *clock* thread only looks at the time: it tells a loss at the lease's deadline, and no
network call, name look-up or full connection pool can hold it up. The *renewal* thread talks to
the store: every third of a ttl, in batches, one round trip for each batch.

A renewal that gets no answer is neither renewed nor lost. Only the deadline, or the store's
"not yours", makes a lease lost, and a lost lease is never revived.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import StoreError
from ..model import Lease, LockStore, LossReason, Outcome
from ..model.clock import Clock, steady

__all__ = ["BATCH", "LATER", "Keeper"]

logger = logging.getLogger("celery_lock")

BATCH = 100
"""Leases in one round trip. More would block the server for longer at a time (about 1 ms for
100), fewer would cost more round trips."""

LATER = object()
"""What a debt returns that cannot be paid yet."""
SOON = 0.05
"""Seconds after which such a debt is looked at again: a process that is being killed is gone by
then, or in a few times of it."""

OnLost = Callable[[LossReason], None]
OnFailed = Callable[[StoreError], None]


@dataclass
class _Kept:
    """A lease that is renewed."""

    lease: Lease
    ttl: float
    on_lost: OnLost
    on_failed: OnFailed
    due: float


@dataclass
class _Debt:
    """A release or an undo that got no answer, tried again until nobody needs it any more."""

    pay: Callable[[], object]
    due: float
    until: float


class Keeper:
    """Renews the leases it was given, pays the debts it was given. Thread-safe."""

    def __init__(self, store: LockStore, *, clock: Clock = steady, threads: bool = True) -> None:
        """`threads=False`: nothing happens by itself; the caller moves it on with
        `notify_losses()` and `renew()`, as tests do whose clock is their own.
        """
        self._store = store
        self._clock = clock
        self._threads = threads
        self._begin()
        _keepers.add(self)

    def _begin(self) -> None:
        self._kept: dict[Lease, _Kept] = {}
        self._debts: list[_Debt] = []
        # taken by itself, not through the condition, whose methods are Python: a time limit that
        # fell between its taking and its body would leave it taken for ever
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._wakes = {"clock": -math.inf, "renewal": -math.inf}
        self._ahead = {"clock": math.inf, "renewal": math.inf}
        self._running: list[threading.Thread] = []
        self._pid = os.getpid()
        self.unanswered = False
        """The last call that this keeper made got no answer: the next one may not either."""

    # -- what the locker asks for ------------------------------------------------------------

    def keep(self, lease: Lease, ttl: float, on_lost: OnLost, on_failed: OnFailed) -> None:
        """Renew `lease` for `ttl` seconds at a time, from now on.

        `on_lost` is told once; `on_failed` of each renewal without an answer, but for one lease
        of a batch only.
        """
        with self._lock:
            now = self._clock()
            # a slow answer has used up much of the time: half of what is left is soon enough
            due = min(now + ttl / 3, (now + lease.deadline) / 2)
            self._kept[lease] = _Kept(lease, ttl, on_lost, on_failed, due)
            ahead = self._ahead
            ahead["clock"] = min(ahead["clock"], lease.deadline - now)
            ahead["renewal"] = min(ahead["renewal"], due - now)
            self._need(clock=lease.deadline, renewal=due)

    def drop(self, lease: Lease) -> None:
        """Renew it no more; a loss of it is not told any more."""
        with self._lock:
            self._kept.pop(lease, None)

    def forget(self, holder: str) -> None:
        """Drop the lease of a holder that never came to know of it."""
        with self._lock:
            for lease in [lease for lease in self._kept if lease.holder == holder]:
                del self._kept[lease]

    def keeps(self, holder: str) -> bool:
        """This process renews a lease of that holder."""
        with self._lock:
            return any(lease.holder == holder for lease in self._kept)

    def owe(self, pay: Callable[[], object], *, for_: float) -> None:
        """Call `pay` once a second until it does not raise a `StoreError`, for `for_` seconds.

        Sooner, if it returned `LATER`.
        """
        with self._lock:
            now = self._clock()
            self._debts.append(_Debt(pay, now, now + for_))
            self._need(renewal=now)

    def __len__(self) -> int:
        return len(self._kept)

    # -- what moves it on --------------------------------------------------------------------

    def notify_losses(self) -> float:
        """Tell every lease whose deadline has passed; return when the next one will."""
        now = self._clock()
        with self._lock:
            over = [kept for kept in self._kept.values() if kept.lease.reason is not None]
            for kept in over:
                del self._kept[kept.lease]
            next_one = min((k.lease.deadline for k in self._kept.values()), default=math.inf)
        for kept in over:
            self._lose(kept, kept.lease.reason or "expired")
        return max(next_one, now)

    def renew(self) -> float:
        """Renew what is due and pay what is owed; return when there is more to do."""
        now = self._clock()
        with self._lock:
            due = [kept for kept in self._kept.values() if kept.due <= now]
            debts = [debt for debt in self._debts if debt.due <= now]
        for i in range(0, len(due), BATCH):
            self._renew_batch(due[i : i + BATCH])
        for debt in debts:
            self._pay(debt)
        with self._lock:
            # One that has ended and is still to be told is no work of this thread's: as a greenlet
            # that looks for it without a pause, it would never let the clock thread tell it.
            lasting = [kept for kept in self._kept.values() if kept.lease.reason is None]
            return min(
                min((kept.due for kept in lasting), default=math.inf),
                min((debt.due for debt in self._debts), default=math.inf),
            )

    def _renew_batch(self, batch: list[_Kept]) -> None:
        sent = self._clock()
        batch = [kept for kept in batch if kept.lease.reason is None and kept.lease in self._kept]
        asked = [(kept.lease, kept.lease.wanted(sent, kept.ttl)) for kept in batch]
        if not batch:
            return
        # never waits for one answer so long that there is no time for another try
        within = min(max(kept.ttl / 6, 0.02) for kept in batch)
        try:
            outcomes = self._store.renew(asked, within=within)
        except StoreError as error:
            now, self.unanswered = self._clock(), True
            for kept in batch:
                kept.due = now + max(kept.ttl / 12, 0.02)
            batch[0].on_failed(error)
            return
        self.unanswered = False
        for kept, (lease, ttl), outcome in zip(batch, asked, outcomes, strict=True):
            if outcome is Outcome.LOST:
                # a release may have overtaken this renewal: what was dropped is not lost
                with self._lock:
                    ours = self._kept.pop(lease, None) is not None
                if ours:
                    self._lose(kept, "taken")
            elif outcome is Outcome.RENEWED and lease.extend(sent, ttl):
                # a lease that was asked for less than its ttl has reached its ceiling
                kept.due = sent + ttl / 3 if ttl == kept.ttl else math.inf
            else:  # it came too late, or is no answer at all
                kept.due = self._clock() + max(kept.ttl / 12, 0.02)

    def _lose(self, kept: _Kept, reason: LossReason) -> None:
        if kept.lease.lose(reason):
            kept.on_lost(reason)

    def _pay(self, debt: _Debt) -> None:
        pause = 1.0
        try:
            if debt.pay() is LATER:
                pause = SOON
            else:
                self.unanswered, pause = False, 0.0
        except StoreError:
            self.unanswered = True
        except Exception:  # the next debt must not wait for this one
            logger.exception("a call to the store is tried again")
        debt.due = self._clock() + pause
        if pause and debt.due < debt.until:
            return
        with self._lock:
            self._debts.remove(debt)

    # -- threads -----------------------------------------------------------------------------

    def _need(self, *, clock: float = math.inf, renewal: float = math.inf) -> None:
        """See to it that the threads look again at these times. With the condition held.

        Waking a thread costs more than all the rest of a claim, so it is done only for what
        comes sooner than the time at which it looks anyway.
        """
        if not self._threads:
            return
        if clock < self._wakes["clock"] or renewal < self._wakes["renewal"]:
            self._wakes = {
                "clock": min(clock, self._wakes["clock"]),
                "renewal": min(renewal, self._wakes["renewal"]),
            }
            self._changed.notify_all()
        if self._running and all(thread.is_alive() for thread in self._running):
            return
        self._running = [
            threading.Thread(
                target=self._run, args=args, name=f"celery-lock-{args[0]}", daemon=True
            )
            for args in (("clock", self.notify_losses), ("renewal", self.renew))
        ]
        for thread in self._running:
            thread.start()

    def _run(self, name: str, step: Callable[[], float]) -> None:
        lock, changed, running = self._lock, self._changed, self._running
        while self._running is running:
            with lock:
                self._wakes[name] = math.inf  # what comes while the step runs is seen below
            try:
                next_time = step()
            except Exception:  # what goes on here is what keeps leases alive
                logger.exception("the %s thread failed and goes on", name)
                next_time = self._clock() + 1.0
            with lock:
                now = self._clock()
                # Short bodies leave no lease behind, and each next claim would have to wake a
                # thread that sleeps for ever: while claims come it looks as soon as one needs it.
                next_time = min(next_time, now + self._ahead[name])
                self._ahead[name] = math.inf
                self._wakes[name] = min(self._wakes[name], next_time)
                pause = self._wakes[name] - now
                if pause > 0:
                    # at most a minute: a clock that goes on in a suspend does not wake a wait
                    changed.wait(min(pause, 60.0))

    def _forked(self) -> None:
        """The child has no thread of its parent's, and none of its leases is the child's."""
        self._begin()


_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()


def _after_fork() -> None:
    for keeper in list(_keepers):
        keeper._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
