"""The beats' common ledger: which tick of which entry has been published, and who is at it.

Every beat asks the store for every tick; compare-and-set lets one of them win. There is no leader:
a beat that dies leaves at most open claims behind, and another one publishes those ticks when
the claims have lived their time. Nothing here knows of Celery.
"""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from dataclasses import replace

from ..errors import StoreError
from ..events.plain_text import moment
from .calls import Answer, Calls
from .confirms import Confirms
from .entry_record import NOBODY, EntryRecord, OpenClaim
from .entry_views import EntryView, EntryViews
from .moves import GoOn, Move, Publish, TakeOver, TrustMemory, Wait, next_move
from .ticks import FRESH, RetryAfter, Stale, Tick, TickRequest, pause_after_failure

__all__ = ["Ledger"]

logger = logging.getLogger("celery_lock")

_TRIES = 4
"""How often a change that meets another record than it expected is tried with that one."""

_FEW, _PACE = 10, 0.1
"""For so many messages of a tick each is written down before the next is sent, and of further ones
what was sent in so many seconds: so much may be sent again if its beat dies. Fewer calls would
repeat more, more calls would slow a tick with thousands of messages down."""


class Ledger:
    """One beat's part of the ledger. `by` is who this beat is."""

    def __init__(self, calls: Calls, by: str) -> None:
        self.calls = calls
        self.clock = calls.clock
        self.views = EntryViews(calls, by)
        self.confirms = Confirms(calls)
        self._by = by

    # -- before a tick is published ----------------------------------------------------------

    def claim(self, name: str, request: TickRequest) -> Tick | RetryAfter | Stale:
        """Ask for the tick after the last run. Raises `StoreError`."""
        view = self.views.of(name)
        base, expected = view.last, view.stamp
        claim = OpenClaim(request.due, request.next_base, self._by, request.claim_ttl)
        wanted = EntryRecord(base, claim)
        for _ in range(_TRIES):
            answer = self.calls.change(
                name, expected, wanted, ttl=request.record_ttl, not_before=request.due
            )
            if answer.done:
                view.settle(base)
                return _tick(name, wanted, claim, answer, request)
            if answer.stamp is not None and answer.stamp == expected:
                # the store's clock is behind our estimate of it
                return RetryAfter(max(0.0, request.due - answer.now))
            move = self._next_move(answer, view)
            if isinstance(move, GoOn):
                view.settle(move.last)
                return Stale()
            if not isinstance(move, TrustMemory):
                return self._meet(name, answer, move, request)
            expected = answer.stamp
        return RetryAfter(1.0)

    def look(self, name: str, request: TickRequest) -> Tick | RetryAfter | None:
        """See whether another beat has confirmed the tick that it had claimed; else take it over.

        `None`: the other beat has. `request` says how long a claim of ours and the record live.
        Raises `StoreError`.
        """
        view, answer = self.views.of(name), self.calls.read(name)
        move = self._next_move(answer, view)
        if isinstance(move, (TrustMemory, GoOn)):
            view.settle(move.last if isinstance(move, GoOn) else view.last)
            return None
        found = self._meet(name, answer, move, request)
        return RetryAfter(0.0) if isinstance(found, Stale) else found

    def _next_move(self, answer: Answer, view: EntryView) -> Move:
        return next_move(answer, view, by=self._by, sure_for=self.calls.sure_for)

    def _meet(
        self, name: str, answer: Answer, move: Publish | Wait | TakeOver, request: TickRequest
    ) -> Tick | RetryAfter | Stale:
        """Do what an open claim asks for."""
        view = self.views.of(name)
        if isinstance(move, Publish):
            view.settle(move.record.last)
            return _tick(name, move.record, move.claim, answer, request)
        if isinstance(move, Wait):
            view.follow(move.record, by=self._by, until=answer.now + move.seconds)
            return RetryAfter(move.seconds)
        return self._take_over(name, answer, move, request)

    def _take_over(
        self, name: str, answer: Answer, move: TakeOver, request: TickRequest
    ) -> Tick | Stale:
        old = move.claim
        claim = replace(old, by=self._by, ttl=request.claim_ttl, tries=old.tries + 1)
        taken = replace(move.record, claim=claim)
        answer = self.calls.change(
            name, answer.stamp, taken, ttl=request.record_ttl, not_before=old.due
        )
        if not answer.done:
            return Stale()
        self.views.of(name).settle(taken.last)
        logger.warning(
            "beat: the tick of %r due at %s is taken over from %s; this is try %d,"
            " with the same task id",
            name,
            moment(old.due),
            old.by or "a beat that could not publish it",
            claim.tries,
        )
        tick = _tick(name, taken, claim, answer, request)
        tick.was_given_up = old.by == NOBODY
        return tick

    def unclaimed(self, name: str, request: TickRequest) -> Tick:
        """Return a tick to publish though the store gives no answer."""
        return Tick(
            name=name,
            last=self.views.of(name).last,
            due=request.due,
            next_base=request.next_base,
            stamp=None,
            until=self.clock.steady() + FRESH * request.claim_ttl,
            record_ttl=request.record_ttl,
        )

    def is_fresh(self, tick: Tick) -> bool:
        """Whether a tick may still be published: no other beat can have taken it over."""
        return self.clock.steady() < tick.until

    def may_go_on(self, tick: Tick) -> bool:
        """Whether one more message of a tick may be sent; write down first which were.

        So a tick with many messages keeps its claim, and another beat that takes it over begins
        where this one has ended. A tick with one message costs no call here.
        """
        sent, since = len(tick.sent), self.clock.steady() - tick.written_at
        if sent > tick.written and tick.stamp is not None and (sent <= _FEW or since >= _PACE):
            with suppress(StoreError):  # the claim lives on for a while without it
                self._write_sent(tick)
        return self.is_fresh(tick)

    def _write_sent(self, tick: Tick) -> None:
        claim = OpenClaim(
            tick.due, tick.next_base, self._by, tick.claim_ttl, tick.tries, tuple(sorted(tick.sent))
        )
        record = EntryRecord(tick.last, claim)
        answer = self.calls.change(tick.name, tick.stamp, record, ttl=tick.record_ttl)
        if not answer.done:  # another beat has taken the tick over
            tick.until = -math.inf
            return
        tick.stamp = record.stamp
        tick.until = answer.sent - answer.age + FRESH * claim.ttl
        tick.written, tick.written_at = len(claim.sent), self.clock.steady()

    # -- after it was published, or not ------------------------------------------------------

    def confirm(self, tick: Tick) -> None:
        """Say that a tick was published: its run is the last one from now on. Never raises."""
        view = self.views.of(tick.name) if self.views.knows(tick.name) else None
        if view is not None:
            view.settle(tick.run)  # whatever the store says, or does not say
        other = None if tick.stamp is None else self.confirms.send(tick)
        if view is not None and other is not None:
            view.settle(other)

    def fail(self, tick: Tick, after: float | None = None) -> None:
        """Say that a tick was not published: any beat may publish it `after` so many seconds.

        Never raises: a claim of which nothing is heard ends by itself.
        """
        if tick.stamp is None:
            return
        pause = tick.retry_in if after is None else after
        given_up = OpenClaim(
            tick.due, tick.next_base, NOBODY, pause, tick.tries, tuple(sorted(tick.sent))
        )
        with suppress(StoreError):
            self._give_back(tick, given_up)

    def drop(self, tick: Tick) -> None:
        """Say that a tick is left out: its entry goes on from the run before. Raises `StoreError`.

        A confirm of a beat that has published the tick after all still counts.
        """
        if tick.sent:  # the rest of them never went
            self.confirm(tick)
        else:
            self._give_back(tick, None)
        logger.warning(
            "beat: the tick of %r due at %s is not published %s: it is too late for it",
            tick.name,
            moment(tick.due),
            f"any further than {len(tick.sent)} of its messages" if tick.sent else "after all",
        )

    def _give_back(self, tick: Tick, claim: OpenClaim | None) -> None:
        record = EntryRecord(tick.last, claim)
        self.calls.change(tick.name, tick.stamp, record, ttl=tick.record_ttl)


def _tick(
    name: str, record: EntryRecord, claim: OpenClaim, answer: Answer, request: TickRequest
) -> Tick:
    """Return the tick of this beat's own claim, which stands in the record."""
    return Tick(
        name=name,
        last=record.last,
        due=claim.due,
        next_base=claim.next_base,
        stamp=record.stamp,
        until=answer.sent - answer.age + FRESH * claim.ttl,
        record_ttl=request.record_ttl,
        retry_in=pause_after_failure(claim.ttl, claim.tries),
        tries=claim.tries,
        sent=set(claim.sent),
        written=len(claim.sent),
        claim_ttl=claim.ttl,
        every=request.every,
    )
