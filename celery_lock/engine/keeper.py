"""The keeper: renews every lease of this process, and finds out which one was lost, and when.

Two daemon threads for any number of leases, started at first need and started afresh after a
fork. The *clock* thread only looks at the time: it ends a lease at its deadline, and no network
call, name look-up or full connection pool can hold it up. The *renewal* thread talks to the
store: every third of a ttl, in batches, one round trip for each batch. One thread cannot do both,
since a call to a store blocks: the deadline of one lease may pass while another one is renewed.

A renewal that gets no answer is neither renewed nor lost. Only the deadline, or the store's
"not yours", makes a lease lost, and a lost lease is never revived.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from ..errors import StoreError, StoreUnavailable
from ..model import Lease, LockStore, LossReason, Outcome
from ..model.clock import Clock, steady
from ..model.per_process import PerProcess
from .alarm import Alarm, NoThread
from .takers import takers

__all__ = ["BATCH", "Keeper", "Kept"]

BATCH = 100
"""Leases in one round trip. More would block the server for longer at a time (about 1 ms for
100), fewer would cost more round trips."""


class Kept:
    """A lease that is renewed for `ttl` seconds at a time, and what its holder hears of it."""

    __slots__ = ("due", "lease", "leases", "ttl", "user")

    def __init__(self, lease: Lease, ttl: float) -> None:
        self.lease = lease
        self.ttl = ttl
        self.due = math.inf
        """When the next renewal is due."""
        self.leases: object = None
        """The leases of the process that keeps it: a child that it forks has others."""
        self.user: Callable[[], User | None] | None = None
        """A reference to who will give it back; that it is gone means that nobody will. `None`:
        whoever claimed it does so however it ends."""

    @property
    def is_forsaken(self) -> bool:
        """Nobody is left who would give it back."""
        return self.user is not None and self.user() is None

    def lost(self, reason: LossReason) -> None:
        """The lease is lost. Called once, on the keeper's thread."""

    def failed(self, error: StoreError) -> None:
        """A renewal got no answer. Called for one lease of a batch only."""


class User(Protocol):
    """Who has a lease and will give it back."""

    @property
    def ends_with_process(self) -> bool:
        """It does nothing more once the main thread of its process leaves."""
        ...


class Keeper:
    """Renews the leases that it was given. Thread-safe."""

    def __init__(
        self,
        store: LockStore,
        *,
        clock: Clock = steady,
        threads: bool = True,
        forsaken: Callable[[Kept], None] = lambda kept: None,
    ) -> None:
        """`threads=False`: nothing happens by itself; the caller moves it on with
        `notify_losses()` and `renew()`, as tests do whose clock is their own.

        `forsaken` gives a lease back that nobody is left to give back. It makes no call itself.
        """
        self._forsaken = forsaken
        self._store = store
        self._clock = clock
        self._threads = threads
        self._own = PerProcess(lambda: _Leases(self))

    # -- what the locker asks for ------------------------------------------------------------

    def keep(self, kept: Kept, now: float) -> None:
        """Renew a lease from now on; `now` is what the clock says.

        Raises `StoreUnavailable` where this process has no thread for that: what is done about
        a store that cannot be asked holds for one that cannot be asked in time.
        """
        own, lease = self._own.value, kept.lease
        deadline = lease.deadline
        # a slow answer has used up much of the time: half of what is left is soon enough
        kept.due = due = min(now + kept.ttl / 3, (now + deadline) / 2)
        kept.leases = own
        own.kept[lease] = kept
        if not self._threads:
            return
        try:
            if deadline < own.losses.time:
                own.losses.set(deadline)
            if due < own.renewals.time:
                own.renewals.set(due)
        except NoThread as error:
            cause = f"no thread can be begun here that renews its leases ({error})"
            raise StoreUnavailable(self._store.url, cause) from error

    def drop(self, kept: Kept) -> bool:
        """Renew a lease no more, nor tell of its loss; `False`: it is another process's."""
        own = self._own.value
        if kept.leases is not own:
            return False
        own.kept.pop(kept.lease, None)
        return True

    def forget(self, holder: str) -> None:
        """Drop the lease of a holder that never came to know of it."""
        kept = self._own.value.kept
        for lease in list(kept):
            if lease.holder == holder:
                kept.pop(lease, None)

    def holders(self, key: str) -> list[str]:
        """Return the holders whose leases of a key this process renews."""
        return [lease.holder for lease in list(self._own.value.kept) if lease.key == key]

    def __len__(self) -> int:
        return len(self._own.value.kept)

    @property
    def unanswered(self) -> bool:
        """Whether the last renewal got no answer, and there are leases to renew."""
        own = self._own.value
        return own.unanswered and bool(own.kept)

    def look_soon(self, *_: object) -> None:
        """See to it that forsaken leases are found soon. Never waits, and never raises.

        It is called by the collector of garbage too, which runs at any step of any thread, also
        of one that has an alarm's lock. Who cannot say so now is heard at the next renewal.
        """
        if self._threads:
            self._own.value.renewals.nudge()

    def let_go(self, *, leaving: bool = False) -> None:
        """Give back what is forsaken; `leaving`: the process ends, and its main thread's too."""
        if leaving and (hear := getattr(self._store, "hear", None)) is not None:
            hear()  # what nobody has waited for
        own = self._own.value
        for kept in list(own.kept.values()):
            user = None if kept.user is None else kept.user()
            ends = leaving and user is not None and user.ends_with_process
            if (kept.is_forsaken or ends) and own.kept.pop(kept.lease, None) is not None:
                self._forsaken(kept)

    # -- what moves it on --------------------------------------------------------------------

    def notify_losses(self) -> float:
        """End every lease whose deadline has passed; return when the next one's will."""
        own, now = self._own.value, self._clock()
        next_one = math.inf
        for kept in list(own.kept.values()):
            reason = kept.lease.reason
            if reason is None:
                next_one = min(next_one, kept.lease.deadline)
            elif own.kept.pop(kept.lease, None) is not None:
                self._lose(kept, reason)
        return max(next_one, now)

    def renew(self) -> float:
        """Renew what is due; return when there is more to do."""
        own, now = self._own.value, self._clock()
        self.let_go()
        due = [kept for kept in list(own.kept.values()) if kept.due <= now]
        for i in range(0, len(due), BATCH):
            self._renew_batch(own, due[i : i + BATCH])
        # A lease that has ended is the clock thread's business. With gevent, a greenlet that came
        # back to it here without a pause would never let the clock thread's greenlet run.
        lasting = [kept for kept in list(own.kept.values()) if kept.lease.reason is None]
        # what is renewed no more may be forsaken yet: the thread that hears of it must not end
        return min((min(kept.due, kept.lease.deadline) for kept in lasting), default=math.inf)

    def _renew_batch(self, own: _Leases, batch: list[Kept]) -> None:
        sent = self._clock()
        batch = [kept for kept in batch if kept.lease.reason is None and kept.lease in own.kept]
        asked = [(kept.lease, kept.lease.wanted(sent, kept.ttl)) for kept in batch]
        if not batch:
            return
        # never waits for one answer so long that there is no time for another try
        within = min(max(kept.ttl / 6, 0.02) for kept in batch)
        try:
            outcomes = self._store.renew(asked, within=within)
        except StoreError as error:
            now, own.unanswered = self._clock(), True
            for kept in batch:
                kept.due = now + max(kept.ttl / 12, 0.02)
            batch[0].failed(error)
            return
        own.unanswered = False
        gone = [
            lease for (lease, _), out in zip(asked, outcomes, strict=True) if out is Outcome.LOST
        ]
        by = takers(self._store, gone, self._clock) if gone else {}
        for kept, (lease, ttl), outcome in zip(batch, asked, outcomes, strict=True):
            if outcome is Outcome.LOST:
                # a release may have overtaken this renewal: what was dropped is not lost
                if own.kept.pop(lease, None) is not None:
                    self._lose(kept, "taken", by.get(lease))
            elif outcome is Outcome.RENEWED and lease.extend(sent, ttl):
                # a lease that was asked for less than its ttl has reached its ceiling
                kept.due = sent + ttl / 3 if ttl == kept.ttl else math.inf
            else:  # it came too late, or is no answer at all
                kept.due = self._clock() + max(kept.ttl / 12, 0.02)

    def _lose(self, kept: Kept, reason: LossReason, by: str | None = None) -> None:
        if kept.lease.lose(reason, by):
            kept.lost(reason)


class _Leases:
    """The leases that one process keeps, and the threads that look after them."""

    def __init__(self, keeper: Keeper) -> None:
        self.kept: dict[Lease, Kept] = {}
        """Its own operations are atomic, a copy by `list` too, so nothing is locked."""
        self.unanswered = False
        self.losses = Alarm("celery-lock-clock", keeper.notify_losses, keeper._clock)
        self.renewals = Alarm("celery-lock-renewal", keeper.renew, keeper._clock)
