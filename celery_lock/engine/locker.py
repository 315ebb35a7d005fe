"""The locker: claims, waits, gives back and makes the facts of it; it knows no Celery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count

from ..backoff import exponential
from ..errors import StoreError, StoreUnavailable
from ..events import Acquired, Observers, Released, Subject
from ..model import (
    Claim,
    Completion,
    End,
    Feature,
    Held,
    LockStore,
    ttl_to_ask,
)
from ..model.clock import Clock, steady
from .completions import Completions
from .grant import Ask, Grant, Reports
from .keeper import Keeper
from .pending_calls import NOT_YET, PendingCalls
from .store_id import StoreId

__all__ = ["LOOK_AGAIN", "PATIENCE", "Ask", "Grant", "Locker"]

LOOK_AGAIN = 1.0
"""Seconds after which a waiter asks again though nobody woke it."""

PATIENCE = 0.5
"""Seconds that a worker's main process waits for a dead child's key to be free."""

_POLL = exponential(first=0.02, factor=1.5, cap=0.5, jitter=None)
"""How a waiter polls a store without a watch."""


class Locker:
    """Claims keys in one store, for one app and process."""

    def __init__(
        self,
        store: LockStore,
        *,
        clock: Clock = steady,
        observers: Observers | None = None,
        pause: Callable[[float], None] = time.sleep,
        threads: bool = True,
    ) -> None:
        """`pause` is how a wait passes its time where the store has no watch.

        `threads=False`: nothing happens in the background but in `move_on()`, which is for tests
        whose clock is their own.
        """
        self.store = store
        self.store_id = StoreId(store)
        self.observers = Observers() if observers is None else observers
        self._reports = Reports(self.observers, store.url)
        self.keeper = Keeper(store, clock=clock, threads=threads)
        self.completions = Completions(store, clock, wake=self._wake, failed=self._untold)
        self.pending = PendingCalls(clock=clock, threads=threads, after=self.completions.send_due)
        self._clock = clock
        self._pause = pause

    def move_on(self) -> float:
        """Do what the threads would have done by now; return when there is more to do."""
        renewal, call = self.keeper.renew(), self.pending.make_due()
        return min(renewal, call, self.keeper.notify_losses())

    def claim(self, ask: Ask, *, waited: float = 0.0) -> Grant | Held:
        """Claim once. A granted lease is renewed from now on.

        `waited`: the seconds that the claimant has waited for it, for those who are told.
        """
        claim, at_most, clock = ask.claim, ask.at_most, self._clock
        ttl = claim.ttl
        if at_most is not None and (asked := ttl_to_ask(ttl, at_most)) != ttl:
            claim = replace(claim, ttl=asked)
            ask = ask._replace(claim=claim)
        sent = clock()
        try:
            lease = self.store.acquire(claim)
            if isinstance(lease, Held):
                return lease
            now = clock()
            lease.arm(clock, sent, claim.ttl, at_most)
            if lease.reason_at(now) == "expired":
                raise StoreUnavailable(
                    self.store.url, f"its answer came after the lease's {claim.ttl:g} s had passed"
                )
            grant = Grant(self._reports, lease, ask, ttl, sent)
            self.keeper.keep(grant, now)
            if not self.observers.only_counted(Acquired, ask.subject):
                self.observers.notify(
                    Acquired(
                        key=claim.key,
                        subject=ask.subject,
                        holder=claim.holder,
                        token=lease.known_token,
                        slot=grant.slot,
                        waited=waited,
                    )
                )
            return grant
        except StoreError as error:
            # it may have been granted all the same: a key that nobody knows of is given back
            self._undo(claim)
            self._reports.failed(claim.key, ask.subject, "acquire", error, ask.on_error)
            raise
        except BaseException:
            # a time limit, a shutdown or Ctrl-C fell into the call
            self._undo(claim)
            raise

    def abandon(self, claim: Claim) -> None:
        """Undo a claim whose grant never reached its claimant: something fell in between."""
        if self.keeper.keeps(claim.holder):
            self._undo(claim)

    def wait(
        self, ask: Ask, max_wait: float, *, but_for: Callable[[Held], bool] = lambda held: False
    ) -> Grant | Held:
        """Claim until the key is given, for at most `max_wait` seconds; blocks the caller.

        `but_for`: tells of a holder for whom the caller does not wait here.

        Woken by the store where it has a watch. Claims again when the holder's lease would run
        out, and once a second: a wake-up is a hint that may be lost.
        """
        began = self._clock()
        watches = Feature.WATCH in self.store.features
        claim = replace(ask.claim, watching=watches)
        ask = ask._replace(claim=claim)
        for number in count(1):
            got = self.claim(ask, waited=self._clock() - began)
            left = began + max_wait - self._clock()
            if isinstance(got, Grant) or got.done or left <= 0 or but_for(got):
                return got
            nap = min(left, max(got.expires_in, 0.001), LOOK_AGAIN)
            if watches:
                self.store.watch(claim.key, nap)
            else:
                self._pause(min(nap, _POLL(number)))
        raise AssertionError("count() does not end")

    def release(self, grant: Grant, end: End | None = None) -> None:
        """Give the key back. Never raises: what the task came to stands.

        `end`: what the store records besides, and to whom it leaves the key.

        A release without an answer is tried again in the background for as long as the lease
        would live. May be called again when something fell into the first call.
        """
        if not self.keeper.drop(grant):
            return  # a child that the body forked: the key is its parent's
        lease, now = grant.lease, self._clock()
        reason = lease.reason_at(now)
        if reason is not None and lease.lose(reason):
            grant.lost(reason)  # it ended in this moment, before the keeper could tell
        lease.lose("released")
        held_on = reason in (None, "released")
        grant.end = end
        try:
            in_time = self._give_back(grant) and held_on
        except StoreError as error:
            self.pending.add(partial(self._give_back, grant), for_=grant.ask.claim.ttl)
            self._reports.failed(lease.key, grant.ask.subject, "release", error, "retry")
            return
        except BaseException:  # a time limit or a shutdown fell into the call
            self.pending.add(partial(self._give_back, grant), for_=grant.ask.claim.ttl)
            raise
        if in_time and self.observers.only_counted(Released, grant.ask.subject):
            return
        self.observers.notify(
            Released(
                key=lease.key,
                subject=grant.ask.subject,
                holder=lease.holder,
                token=lease.known_token,
                held=now - grant.sent,
                in_time=in_time,
                slot=grant.slot,
            )
        )

    def _give_back(self, grant: Grant) -> bool:
        answer = self.store.release(grant.lease, grant.end)
        grant.recorded = answer.recorded
        self._complete(grant)
        return answer.in_time

    def told(self, grant: Grant) -> None:
        """All that follows the run is out: its completion is told, if the release recorded the end.

        Never raises, and makes no call itself. May be called again.
        """
        grant.is_told = True
        self._complete(grant)

    def _complete(self, grant: Grant) -> None:
        completion = grant.completion
        if completion is not None:
            self.completions.add(completion, grant.ask.subject)

    def complete(self, completion: Completion, subject: Subject) -> None:
        """Tell the completion of a message that held no lease. Never raises."""
        self.completions.add(completion, subject)

    def _untold(self, completion: Completion, subject: Subject, error: StoreError) -> None:
        self._reports.failed(completion.key, subject, "complete", error, "retry")

    def _wake(self, time: float) -> None:
        self.pending.wake(time)

    def free(
        self,
        key: str,
        holder: str,
        subject: Subject,
        *,
        for_: float,
        gone: Callable[[], bool] = lambda: True,
        completion: Completion | None = None,
    ) -> None:
        """End the lease of a holder that is dead. Never raises.

        `completion`: what is told before that, for a copy that finds the key free runs.

        Done in the background, tried again for `for_` seconds, and not before `gone()`: a process
        that is still alive could still be at its body. If it is gone already the caller waits for
        the key to be free, for at most half a second and only if the store seems to answer: who
        sends the task again now should not find its key taken.
        """
        done = threading.Event()

        def free() -> object:
            if not gone():
                return NOT_YET
            if completion is not None and Feature.COPIES in self.store.features:
                self.store.complete([completion])
            self.free_now(key, holder, subject)
            done.set()
            return None

        wait = gone() and not (self.pending.unanswered or self.keeper.unanswered)
        self.pending.add(free, for_=for_)
        if wait:
            done.wait(PATIENCE)

    def free_now(self, key: str, holder: str, subject: Subject) -> None:
        """End the lease of a holder that is dead, here. Raises `StoreError`."""
        had = self.store.free(key, holder)
        if had is not None:
            self.observers.notify(
                Released(
                    key=key,
                    subject=subject,
                    holder=had.holder,
                    token=had.token,
                    held=had.now - had.since,
                    in_time=had.live,
                )
            )

    def _undo(self, claim: Claim) -> None:
        self.keeper.forget(claim.holder)
        self.pending.add(partial(self.store.undo, claim), for_=claim.ttl)
