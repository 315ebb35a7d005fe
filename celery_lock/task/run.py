"""One run of a locked task: claim, conflict, decision, and what to do next.

A run decides and keeps count; it raises nothing of Celery's and publishes only when told to.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ..app.locks import AppLocks
from ..backoff import exponential
from ..errors import StoreError, taken
from ..events import CopyDropped, Fact, SwitchedOff
from ..message.queued import queued_of
from ..model import Completion, Decision, End, Held, Met
from ..policies import requeue, skip, wait
from .around_here import is_around
from .conflict import resolve, turn_fact, verdict_of
from .delivery import Delivery
from .ended_by import EndedBy
from .ending import Ending, completion_of, ends_of
from .outage import outage_pause
from .postrun import around, when_all_is_out
from .sends import Sends
from .settling import Settling
from .steps import DropCopy, GiveUp, Resend, RunBody, Skip, Step

__all__ = ["EARLIER_RUN", "Run"]

EARLIER_RUN = 1.0
"""Seconds that a retry or replacement waits for the run before it, which has sent it and
is about to end: sending it again for that would cost a message and a pause."""

RETRY_PASSES = 1.0
"""Seconds after which a message that waits for its key comes again, while that is kept for a retry
on its way: the retry needs a pool process. Less brings more messages, more leaves the key free."""

_RUN_BODY = RunBody()

_TURNS = exponential(first=1, factor=2, cap=15)
"""Pauses between the tries of a message that waits its turn."""


class Run(Sends):
    """The way of one delivery to its body, or past it.

    CLAIMING   `next_step()` asks for the key. Who is given it goes on to RUNNING; a copy of what
               was completed, and who gets no answer, to a step past the body.
    WAITING    The key is taken, and the policy is `wait`, or an earlier run of this very task is
               about to end. Then as from CLAIMING; any other decision is a step past the body.
    RUNNING    The body is entered, with the key or, where the lock says so, without.
    ENDED      `end()` has given the key back, whatever happened. What the release has recorded is
               told when all that follows the task is out: see `when_all_is_out`.

    A step that fails, for the broker does not take the message, leads back to CLAIMING.
    """

    __slots__ = (
        "_around",
        "_completion",
        "_ends",
        "_is_counted",
        "_is_entered",
        "_settling",
    )

    def __init__(self, delivery: Delivery, locks: AppLocks) -> None:
        super().__init__(delivery, locks)
        self._is_counted = False
        self._is_entered = False
        task, request = delivery.task, delivery.request
        queued = None if delivery.header.is_usual else queued_of(request)
        self._settling = None if queued is None else Settling(queued, task, request, locks)
        self._ends: Mapping[str, End] = {}
        self._completion: Completion | None = None
        self._around = around()

    @property
    def key(self) -> str:
        """The key that it is about."""
        return self.delivery.key

    # -- CLAIMING and WAITING ----------------------------------------------------------------

    def next_step(self) -> Step:
        """Claim the key, and say what to do."""
        header = self.delivery.header
        if header.unlocked:
            return self._go_unlocked()
        if header.deliveries and self.delivery.is_poisoned:
            return GiveUp(f"delivered {self.delivery.deliveries} times, which is above its limit")
        if header.verdict is not None:
            return self._by_verdict()
        if not self.delivery.asked:
            return self._enter()
        try:
            if self.delivery.is_eager and self._holding.borrow():
                return self._enter()
            held = self._holding.take(self.delivery)
            if held is not None and self.delivery.is_own_earlier_run(held):
                held = self._holding.wait(EARLIER_RUN)
            return self._enter() if held is None else self._about(held)
        except StoreError as error:
            return self._without_store(error)

    def _about(self, held: Held | None) -> Step:
        """Say what to do about whom the claim has met; `None`: the key is held by now."""
        if held is None:
            return self._enter()
        self.delivery = self.delivery.about(held)
        if held.done:
            return self._drop()
        if self.delivery.waits_its_turn(held):
            return self._wait_its_turn(held)
        return self._on_conflict(held)

    def _by_verdict(self) -> Skip:
        """End as the publisher has found: the message goes on for the sake of its canvas alone."""
        resolution = verdict_of(self.delivery)
        self._notify(resolution.fact(self.delivery.subject))
        if not isinstance(resolution.decision, skip):
            raise resolution.error()
        return Skip(resolution.decision.outcome(resolution.conflict))

    def _wait_its_turn(self, held: Held) -> Resend:
        """Send the message again, at the cost of nothing that its policy counts."""
        self.delivery = self.delivery.turned()
        pause = _TURNS(self.delivery.header.turns)
        if held.met is Met.ENDED:  # that keeps the key from nobody, and not for long
            pause = min(pause, held.expires_in)
        else:
            self._notify(turn_fact(self.delivery, held))
        return self._resend(pause, f"its turn comes after {held.holder}")

    def _on_conflict(self, held: Held) -> Step:
        """Do what is decided."""
        uncounted = self.delivery
        if not self._is_counted:  # one delivery is one attempt, however long it stays here
            self.delivery, self._is_counted = self.delivery.conflicted(held), True
        resolution = resolve(self.delivery, held)
        while True:
            if not self._is_possible(resolution.decision, held):
                resolution = resolution.failing()
            decision, conflict = resolution.decision, resolution.conflict
            if isinstance(decision, wait) and self.delivery.lets_a_retry_pass(held):
                self.delivery = uncounted
                return self._let_pass(held)
            self._notify(resolution.fact(self.delivery.subject))
            if isinstance(decision, skip):
                return Skip(decision.outcome(conflict))
            if isinstance(decision, requeue):
                holders = [one.who for one in conflict.holders]
                who, left = conflict.holder.who, conflict.expires_in
                why = taken(conflict.state, who, left, holders=holders)
                return self._resend(decision.backoff(conflict.attempt), why)
            if not isinstance(decision, wait):
                raise resolution.error()
            left = decision.blocks - self.delivery.header.waited
            got = self._holding.wait(left, self.key)
            if got is not None:
                waited = self.delivery.header.waited + max(0.0, got.now - held.now)
                self.delivery = self.delivery.waited(waited)
            about = self.delivery if got is None else self.delivery.about(got)
            if got is None or got.done or about.waits_its_turn(got):
                return self._about(got)
            is_another, self.delivery = about is not self.delivery, about
            if about.lets_a_retry_pass(got):
                return self._let_pass(got)
            if is_another:  # of the keys of a list: its own lock says what to do
                held, resolution = got, resolve(about, got)
                continue
            self.delivery = self.delivery.waited(0.0)
            held, resolution = got, resolve(self.delivery, got, after=resolution)

    def _is_possible(self, decision: Decision, held: Held) -> bool:
        """In eager mode nothing is sent, and who waits for a body around it waits for itself."""
        if not self.delivery.is_eager:
            return True
        return not (decision.sends or (decision.blocks and is_around(held)))

    def _let_pass(self, held: Held) -> Resend:
        """Wait outside of the pool for the retry that the key is kept for: it needs a place."""
        self.delivery = self.delivery.turned()
        self._notify(turn_fact(self.delivery, held))
        return self._resend(RETRY_PASSES, f"kept for the retry {held.holder}")

    def _without_store(self, error: StoreError) -> Step:
        on_error = self.delivery.on_store_error
        if on_error == "run":
            self._holding.go_without(f"on_store_error is 'run', and {error}")
            return self._enter()
        if on_error == "fail":
            raise error
        self.delivery = self.delivery.unanswered()
        return self._resend(outage_pause(), str(error))

    def _go_unlocked(self) -> RunBody:
        """Run the body without asking the store for anything: its call said so."""
        self._notify(SwitchedOff(key=self.delivery.key, subject=self.delivery.subject))
        self._holding.go_without("its call said lock=None")
        return self._enter()

    def _enter(self) -> RunBody:
        self._is_entered = True
        self._holding.attach(self.delivery.publication)
        if self.delivery.has_place:  # not before all else is held: until then the message waits
            self._holding.leave_the_queue()
        if self._settling is not None:
            self._settling.start()
        return _RUN_BODY

    def _drop(self) -> DropCopy:
        delivery = self.delivery
        self._notify(
            CopyDropped(
                key=delivery.key, subject=delivery.subject, publication=delivery.publication
            )
        )
        return DropCopy()

    def _resend(self, pause: float, why: str) -> Resend:
        self.delivery = delivery = self.delivery.sent_on()
        return Resend(delivery.header_to_send, delivery.bounded(pause), why)

    def _notify(self, fact: Fact) -> None:
        self._locks.notify(fact)

    # -- ENDED -------------------------------------------------------------------------------

    def conclude(self, ending: Ending) -> None:
        """Note what the run came to, before the end."""
        if ending.goes_back and self.delivery.transport.is_last(self.delivery.request):
            ending = ending._replace(goes_back=False)
        if self._settling is not None:
            asked = self.delivery.asked if self._holding.is_held else ()
            goes_on = self.is_sent or ending.goes_back
            self._settling.conclude(None if goes_on else [want.name for want in asked])
        if self.delivery.header.unlocked or not self.delivery.asked:
            return  # no copy of it asks for a record
        if self._holding.is_held:
            if self._holding.replacement is not None:
                ending = ending._replace(replacement=self._holding.replacement)
            self._ends = ends_of(self.delivery, ending)
        elif self._is_entered or not self._goes_on(ending.ended):
            self._completion = completion_of(self.delivery, ending.ended)

    def _goes_on(self, ended: EndedBy) -> bool:
        """The message has not come to its end here, or perhaps not: it may be on its way again."""
        return ended is EndedBy.IGNORED or (ended is EndedBy.RAISED and self.unsent > 0)

    def end(self) -> None:
        """Give the key back, whatever happened. Never raises of its own.

        May be called again when a time limit fell into the first call.
        """
        told = self._holding.give_back(self._ends)
        if self._settling is not None:
            self._settling.end()
        if told is None and self._completion is not None:
            complete = self._locks.locker.complete
            told = partial(complete, self._completion, self.delivery.subject)
        if told is not None:
            when_all_is_out(self.delivery.request, told, self._around)
