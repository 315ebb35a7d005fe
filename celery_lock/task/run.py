"""One run of a locked task: claim, conflict, decision, and what to do next.

A run decides and keeps count; it raises nothing of Celery's and publishes only when told to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from celery._state import _task_stack  # type: ignore[attr-defined]  # not in the stubs

from ..app.bound import BoundLock, ceiling_of, header_of, key_of
from ..app.locks import AppLocks
from ..backoff import exponential
from ..engine.interrupt import Interrupt
from ..engine.locker import Ask, Grant
from ..errors import LockConflict, LockError, LockWaitTimeout, StoreError
from ..events import Conflicted, CopyDropped, Subject
from ..message import (
    NO_BROKER,
    asks_since,
    in_canvas,
    new_holder,
    publication_of,
    raw_of,
)
from ..model import Claim, Conflict, End, Held, Holder, Lease, OnStoreError
from ..model.clock import steady
from ..policies import decide, requeue, skip, wait
from .ending import Ending, end_of, heir_of, result_is_missing
from .steps import DropCopy, Resend, RunBody, Skip, Step

__all__ = ["Run"]

# In the request's `properties`: Celery copies those into a nested request (a task that calls
# itself), and unlike any other attribute of ours never takes them for headers of a message.
_MARK = "celery_lock_run"

EARLIER_RUN = 1.0
"""Seconds that a retry or replacement waits for the run before it, which has sent it and
is about to end: sending it again for that would cost a message and a pause."""

_OUTAGE = exponential(first=1, factor=2, cap=15)
"""Pauses between the tries of a message whose store gives no answer."""


class Run:
    """What one delivery of a locked task knows about its lock. Hangs on its request."""

    def __init__(
        self,
        task: Any,
        bound: BoundLock,
        locks: AppLocks,
        request: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._task = task
        self._bound = bound
        self._locks = locks
        self._request = request
        self._header = header_of(bound, request, locks.now)
        self.key = key_of(bound, self._header, args, kwargs)
        self.unsent = 0
        self._transport = NO_BROKER if request.is_eager else locks.transport
        self._publication = publication_of(request, self._header, self._transport)
        self._copy_since = asks_since(request, self._header, self._transport)
        self._began = steady()
        self._end: End | None = None
        self._subject = Subject(task.name, str(request.id), bound.key.template)
        self._claim: Claim | None = None
        self._grant: Grant | None = None
        self._without: str | None = None
        self._interrupt = Interrupt(self.key) if bound.interrupts else None
        self._counted = False

    @classmethod
    def of(cls, request: Any) -> Run | None:
        """Return the run of a request whose body is entered, `None` otherwise."""
        run: Run | None = (request.properties or {}).get(_MARK)
        return run

    def _mark(self, run: Run | None) -> None:
        # a new dict: the message's own may yet be written back by its transport
        self._request.properties = {**(self._request.properties or {}), _MARK: run}

    @property
    def lease(self) -> Lease:
        """The lease. Raises `LockError` when the body runs without one."""
        if self._grant is None:
            raise LockError(
                f"task {self._task.name} runs without its lock {self.key!r}:"
                f" on_store_error is 'run', and {self._without}"
            )
        return self._grant.lease

    # -- the way to the body -----------------------------------------------------------------

    def next_step(self) -> Step:
        """Claim the key once, and say what to do."""
        on_error = self._on_store_error()
        claim = Claim(
            key=self.key,
            holder=str(new_holder(self._request)),
            ttl=self._bound.ttl,
            at_least=self._bound.at_least,
            publication=self._publication,
            copy_since=self._copy_since,
            heir_of=heir_of(self._bound, self._request),
        )
        try:
            locker, self._claim = self._locks.locker, claim
            got = locker.claim(self._ask(claim, on_error))
            if isinstance(got, Held) and self._is_earlier_run(got):
                got = self._wait(claim, EARLIER_RUN, on_error)
            if isinstance(got, Held) and got.done:
                return self._is_done(got)
            if isinstance(got, Held):
                return self._on_conflict(claim, got, on_error)
        except StoreError as error:
            return self._without_store(error, on_error)
        return self._go(got)

    def _is_done(self, held: Held) -> Step:
        if result_is_missing(self._task, held, self._publication, self.pause):
            self._copy_since = None  # its worker died before all was done: it runs again
            return self.next_step()
        self._locks.locker.observers.notify(
            CopyDropped(key=self.key, subject=self._subject, publication=self._publication)
        )
        return DropCopy()

    def _go(self, grant: Grant | None) -> RunBody:
        self._grant = grant
        self._mark(self)
        return RunBody()

    def _wait(self, claim: Claim, seconds: float, on_error: str) -> Grant | Held:
        return self._locks.locker.wait(self._ask(claim, on_error), seconds)

    def _ask(self, claim: Claim, on_error: str) -> Ask:
        on_lost = None if self._interrupt is None else self._interrupt.lost
        at_most = ceiling_of(self._bound, self._task, self._locks.time_limit)
        return Ask(claim, self._subject, at_most, on_error, on_lost)

    def enter(self, body: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the body, so that it can be interrupted where the lock says so."""
        if self._interrupt is None:
            return body(*args, **kwargs)
        return self._interrupt.run(body, args, kwargs)

    def _on_conflict(self, claim: Claim, held: Held, on_error: OnStoreError) -> Step:
        if not self._counted:  # one delivery is one attempt, however long it stays here
            self._header, self._counted = self._header.conflicted(held.now), True
        conflict = self._conflict(held)
        is_copy = self._is_copy(held)
        decision = requeue() if is_copy else decide(self._bound.on_conflict, conflict)
        waited_out = False
        while True:
            while isinstance(decision, requeue) and decision.spent(conflict):
                decision, waited_out = decision.then, True
            self._locks.locker.observers.notify(
                Conflicted(
                    key=self.key,
                    subject=self._subject,
                    holder=conflict.holder,
                    attempt=conflict.attempt,
                    decision=decision,
                    expires_in=conflict.expires_in,
                )
            )
            if not isinstance(decision, wait):
                break
            if self._request.is_eager and self._is_mine(held):
                raise LockConflict(self.key, conflict.holder.task_id)  # it would wait for itself
            got = self._wait(claim, decision.blocks, on_error)
            if isinstance(got, Grant):
                return self._go(got)
            if got.done:
                return self._is_done(got)
            held, conflict, waited_out = got, self._conflict(got), True
            decision = requeue() if self._is_copy(held) else decision.then
        if isinstance(decision, skip):
            return Skip(decision.outcome(conflict))
        if isinstance(decision, requeue) and not self._request.is_eager:
            return self._resend(
                decision.backoff(self._header.attempt), f"held by {conflict.holder.task_id}"
            )
        error = LockWaitTimeout if waited_out else LockConflict
        raise error(self.key, conflict.holder.task_id)

    def _is_copy(self, held: Held) -> bool:
        """The holder is this very task: no policy is asked, for it could lose the message.

        A copy of a message whose first copy runs is never dropped: to acknowledge it would take
        away the only copy that the broker has, should the first one's worker die. The same for
        a retry of a task whose earlier run has not ended yet, and for a tick that two
        schedulers sent, whatever id each of them gave it.
        """
        own = Holder.parse(held.holder).task_id == str(self._request.id)
        same = held.publication == self._header.publication
        return (own or same) and not self._request.is_eager

    def _conflict(self, held: Held) -> Conflict:
        header = self._header
        first = held.now if header.first_conflict is None else header.first_conflict
        return Conflict(
            key=self.key,
            task=self._task.name,
            task_id=str(self._request.id),
            holder=Holder.parse(held.holder, held.since),
            attempt=header.attempt,
            waited=max(0.0, held.now - first),
            expires_in=held.expires_in,
            redelivered=self._transport.redelivered(self._request),
            in_canvas=in_canvas(self._request),
        )

    def _is_earlier_run(self, held: Held) -> bool:
        """An earlier run of this very task has the key: it sent this one and is ending."""
        return (
            Holder.parse(held.holder).task_id == str(self._request.id)
            and held.publication != self._publication
            and not self._request.is_eager
        )

    def _is_mine(self, held: Held) -> bool:
        """A body around this one, in this thread, has the key: it cannot end while we wait."""
        requests = [request for task in _task_stack.stack for request in task.request_stack.stack]
        around = [run._grant for request in requests if (run := Run.of(request)) is not None]
        return any(grant is not None and grant.lease.holder == held.holder for grant in around)

    # -- a store without an answer -----------------------------------------------------------

    def _on_store_error(self) -> OnStoreError:
        wanted = self._bound.on_store_error
        return "fail" if wanted == "requeue" and self._request.is_eager else wanted

    def _without_store(self, error: StoreError, on_error: OnStoreError) -> Step:
        if on_error == "run":
            self._without = str(error)
            return self._go(None)
        if on_error == "fail":
            raise error
        self._header = replace(self._header, outages=self._header.outages + 1)
        return self._resend(_OUTAGE(self._header.outages), str(error))

    # -- the way back ------------------------------------------------------------------------

    def _resend(self, delay: float, why: str) -> Resend:
        header = replace(self._header, key=self.key, publication=self._publication)
        delay = self._transport.bounded(delay, self._task.app.amqp.queues)
        return Resend(header, delay, why)

    def send(self, step: Resend) -> None:
        """Send the message again. Raises `Unsent` when the broker does not take it."""
        self.unsent += 1
        self._locks.sender.send(raw_of(self._request), step.header, delay=step.delay)

    def pause(self, seconds: float) -> None:
        """Keep the message in this process for a while."""
        time.sleep(seconds)

    def conclude(self, ending: Ending) -> None:
        """Say what the body came to, before the end."""
        if self._grant is not None:
            self._end = end_of(
                self._task,
                self._bound,
                self._locks,
                header=self._header,
                key=self.key,
                publication=self._publication,
                began=self._began,
                ending=ending,
            )

    def end(self) -> None:
        """Give the key back, whatever happened. Never raises of its own.

        May be called again when a time limit fell into the first call.
        """
        self._mark(None)
        if self._grant is not None:
            self._locks.locker.release(self._grant, self._end)
            self._grant = None
        elif self._claim is not None:
            self._locks.locker.abandon(self._claim)
