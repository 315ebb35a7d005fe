"""The locker: claims, waits, gives back and makes the facts of it; it knows no Celery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..errors import StoreError, StoreUnavailable
from ..events import Acquired, Observers, Released, Subject
from ..model import Claim, Completion, End, Feature, Held, Lease, LockStore, Release, ttl_to_ask
from ..model.clock import Clock, steady
from .breaker import Breaker
from .completions import Completions
from .grant import Ask, Grant, Reports
from .keeper import Keeper, Kept
from .pending_calls import NOT_YET, PendingCalls
from .several import AGAIN, LOOK_AGAIN, Several
from .store_id import StoreId

__all__ = ["LOOK_AGAIN", "PATIENCE", "Ask", "Grant", "Locker"]

PATIENCE = 0.5
"""Seconds that a worker's main process waits for a dead child's key to be free."""


class Locker(Several):
    """Claims keys in one store, for one app and process."""

    def __init__(
        self,
        store: LockStore,
        *,
        clock: Clock = steady,
        observers: Observers | None = None,
        pause: Callable[[float], None] = time.sleep,
        threads: bool = True,
        deadline: float = 2.0,
    ) -> None:
        """`pause` is how a wait passes its time where the store has no watch. `deadline`: the
        seconds that a call to the store may take.

        `threads=False`: nothing happens in the background but in `move_on()`, which is for tests
        whose clock is their own.
        """
        self.store = breaker = Breaker(store, deadline=deadline, clock=clock)
        self.store_id = StoreId(breaker, clock)
        self.observers = Observers() if observers is None else observers
        self._reports = Reports(self.observers, store.url)
        self.keeper = Keeper(breaker, clock=clock, threads=threads, forsaken=self._forsaken)
        self.completions = Completions(breaker, clock, wake=self._wake, failed=self._untold)
        self.pending = PendingCalls(
            clock=clock,
            threads=threads,
            after=self.completions.send_due,
            leaving=partial(self.keeper.let_go, leaving=True),
            breaker=breaker,
        )
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
        ttl, clock = ask.claim.ttl, self._clock
        if ask.at_most is not None:
            ask = self._capped(ask)
        claim = ask.claim
        sent = clock()
        try:
            lease = self.store.acquire(claim)
            if isinstance(lease, Held):
                return lease
            now = clock()
            if now >= lease.arm(clock, sent, claim.ttl, ask.at_most):
                self._refuse_late(lease, claim, now)
            grant = Grant(self._reports, lease, ask, ttl, sent)
            self.keeper.keep(grant, now)
            if not self.observers.only_counted(Acquired, ask.subject):
                self._notify_grant(grant, waited)
            return grant
        except StoreError as error:
            # it may have been granted all the same: a key that nobody knows of is given back
            self.store.failed(error, claim.key, sent)
            if error.asked:
                self._undo(claim)
            self._reports.failed(claim.key, ask.subject, "acquire", error, ask.on_error)
            raise
        except BaseException:
            # a time limit, a shutdown or Ctrl-C fell into the call
            self._undo(claim)
            raise

    def _capped(self, ask: Ask) -> Ask:
        """Ask for no more than the ceiling allows."""
        claim, at_most = ask.claim, ask.at_most
        if at_most is None or (asked := ttl_to_ask(claim.ttl, at_most)) == claim.ttl:
            return ask
        return ask._replace(claim=replace(claim, ttl=asked))

    def _refuse_late(self, lease: Lease, claim: Claim, now: float) -> None:
        """Refuse an answer that came when the time of its lease was over, but for its ceiling."""
        if lease.reason_at(now) == "expired":
            raise StoreUnavailable(
                self.store.url, f"its answer came after the lease's {claim.ttl:g} s had passed"
            )

    def _notify_grant(self, grant: Grant, waited: float) -> None:
        lease = grant.lease
        self.observers.notify(
            Acquired(
                key=lease.key,
                subject=grant.ask.subject,
                holder=lease.holder,
                token=lease.known_token,
                slot=grant.slot,
                waited=waited,
            )
        )

    def abandon(self, *claims: Claim) -> None:
        """Undo claims whose grant never reached their claimant: something fell in between."""
        holders = {
            holder
            for claim in claims
            for holder in self.keeper.holders(claim.key)
            if holder == claim.holder or holder.startswith(f"{claim.holder}{AGAIN}")
        }
        self._undo(*(replace(claim, holder=holder) for claim in claims for holder in holders))

    def wait(
        self, ask: Ask, max_wait: float, *, but_for: Callable[[Held], bool] = lambda held: False
    ) -> Grant | Held:
        """Claim until the key is given, as `wait_all` does; blocks the caller."""
        got = self.wait_all([ask], max_wait, but_for=but_for)
        return got[0] if isinstance(got, list) else got.held

    def release(self, grant: Grant, end: End | None = None) -> None:
        """Give the key back. Never raises: what the task came to stands.

        `end`: what the store records besides, and to whom it leaves the key.

        A release without an answer is tried again in the background for as long as the lease
        would live. May be called again when something fell into the first call.
        """
        now = self._clock()
        held_on = self._leave(grant, end, now)
        if held_on is None:
            return
        try:
            in_time = self._give_back(grant)
        except StoreError as error:
            self.store.failed(error, grant.lease.key, now)
            self._try_again(grant, error)
            return
        except BaseException:  # a time limit or a shutdown fell into the call
            self.pending.add(partial(self._give_back, grant), for_=grant.ask.claim.ttl)
            raise
        self._notify_release(grant, now, in_time and held_on)

    def _leave(self, grant: Grant, end: End | None, now: float) -> bool | None:
        """Believe in a lease no more; say if it was held. `None`: a forked child may not end it."""
        if not self.keeper.drop(grant):
            return None  # the key is its parent's
        lease = grant.lease
        reason = lease.reason_at(now)
        if reason is not None and lease.lose(reason):
            grant.lost(reason)  # it ended in this moment, before the keeper could tell
        lease.lose("released")
        grant.end = end
        return reason is None or reason == "released"

    def _give_back(self, grant: Grant) -> bool:
        answer = self.store.release(grant.lease, grant.end)
        self._answered(grant, answer)
        return answer.in_time

    def _answered(self, grant: Grant, answer: Release) -> None:
        grant.recorded = answer.recorded
        if grant.is_told:  # else it will be: see `told`
            self._complete(grant)

    def _try_again(self, grant: Grant, error: StoreError, *, notify: bool = True) -> None:
        self.pending.add(partial(self._give_back, grant), for_=grant.ask.claim.ttl)
        if notify:
            self._reports.failed(grant.lease.key, grant.ask.subject, "release", error, "retry")

    def _notify_release(self, grant: Grant, now: float, in_time: bool) -> None:
        subject = grant.ask.subject
        if in_time and self.observers.only_counted(Released, subject):
            return
        lease = grant.lease
        self.observers.notify(
            Released(
                key=lease.key,
                subject=subject,
                holder=lease.holder,
                token=lease.known_token,
                held=now - grant.sent,
                in_time=in_time,
                slot=grant.slot,
            )
        )

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
        patient: bool = True,
    ) -> None:
        """End the lease of a holder that is dead. Never raises.

        `completion`: what is told before that, for a copy that finds the key free runs.
        `patient=False`: another key of it follows, and the caller waits for that one.

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

        wait = patient and gone() and not (self.pending.unanswered or self.keeper.unanswered)
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

    def _forsaken(self, kept: Kept) -> None:
        """Give back what nobody is left to give back, away from the thread that renews."""
        assert isinstance(kept, Grant)
        self.pending.add(partial(self.release, kept), for_=kept.ttl)

    def _undo(self, *claims: Claim) -> None:
        for claim in claims:
            self.keeper.forget(claim.holder)
            self.pending.add(partial(self.store.undo, claim), for_=claim.ttl)
