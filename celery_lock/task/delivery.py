"""One delivery of a locked task's message, and what it is to the holder that it meets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from ..app.bound import BoundLock
from ..app.flags import connection_epoch
from ..app.locks import AppLocks
from ..events import Subject
from ..message import (
    NO_BROKER,
    Header,
    Transport,
    are_siblings,
    asks_since,
    in_canvas,
    named_by_contents,
    new_publication,
    parts_of,
    publication_of,
    raw_of,
)
from ..message.deliveries import complain, deliveries_of
from ..model import Conflict, Held, Holder, Met, OnStoreError, Scope
from ..model.clock import steady
from ..model.made import made
from .wants import Want, asked_of, header_of, home_of, wants_of

__all__ = ["Delivery"]

_WAITS_ITS_TURN = (Met.PUBLICATION, Met.ENDED, Met.TASK, Met.UNCONFIRMED, Met.UNDONE)


_STRICTEST_FIRST: tuple[OnStoreError, ...] = ("fail", "requeue", "run")


class Delivery(NamedTuple):
    """The facts of one delivery. A conflict that the message meets makes new facts.

    A tuple, since each run makes one: a frozen dataclass takes three times as long to make.
    """

    task: Any
    wants: tuple[Want, ...]
    """What the message asks for, in the order in which its task declares its locks."""
    asked: tuple[Want, ...]
    """What is claimed before the body, each name once and in the order of the names."""
    home: str
    """The name beside which the record of the message's publication lies."""
    bound: BoundLock
    """The lock in question: the first one, and after a conflict the one whose key was taken."""
    request: Any
    transport: Transport
    """What the broker does with the message; in eager mode there is no broker."""
    header: Header
    key: str
    """What the key of the lock in question is called in the store."""
    publication: str
    """The act of publishing that the message goes back to: a copy of the message has the same."""
    copy_since: str | None
    """The message may be a copy of one that was completed at this mark of the store or
    later."""
    is_sent_on: bool
    """The message was sent again, or that was tried: whatever came of it, a copy may exist."""
    subject: Subject
    began: float
    """When the run began, by the steady clock."""
    is_eager: bool
    """The call is eager: nothing is ever sent, so the message has no broker and no copy."""
    on_store_error: OnStoreError
    """What the delivery does where the store gives no answer."""
    has_place: bool
    """It may have claimed a queue place."""

    @classmethod
    def of(
        cls,
        task: Any,
        bounds: tuple[BoundLock, ...],
        locks: AppLocks,
        request: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Delivery:
        """Read the facts of a request that is to run."""
        header = header_of(bounds, request, locks.now)
        wants = wants_of(task.name, bounds, header, args, kwargs)
        bound, _, name = wants[0]
        is_eager, is_one = bool(request.is_eager), len(bounds) == 1  # nearly always one
        has_place = not is_one or bound.scope is Scope.UNTIL_STARTED
        transport = NO_BROKER if is_eager else locks.transport_of(request)
        on_error = bound.on_store_error if is_one else _strictest(bounds)
        facts = (
            task,
            wants,
            asked_of(wants, header, request, transport) if has_place else wants,
            name if is_one else home_of(wants),
            bound,
            request,
            transport,
            header,
            name,
            publication_of(request, header, transport),
            asks_since(request, header, transport, connection_epoch),
            not header.is_usual and header.was_sent_again,
            made(Subject, (task.name, str(request.id), bound.key.template)),
            steady(),
            is_eager,
            "fail" if is_eager and on_error == "requeue" else on_error,
            has_place,
        )
        return made(cls, facts)  # type: ignore[no-any-return]

    def about(self, held: Held) -> Delivery:
        """Return the delivery with the lock in question whose key this holder has."""
        if held.key == self.key:
            return self
        want = next(each for each in self.asked if each.name == held.key)
        subject = self.subject._replace(template=want.bound.key.template)
        return self._replace(bound=want.bound, key=want.name, subject=subject)

    @property
    def header_to_send(self) -> Header:
        """The header with which the message is sent again: it names task, key and publication.

        One that nothing but its contents names gets a nonce, unless it is a copy already: another
        message may be equal to it in all.
        """
        nonce = self.header.publication or self.transport.name_of(self.request)
        if not nonce:
            redelivered = self.transport.redelivered(self.request)
            nonce = named_by_contents(self.request) if redelivered else new_publication()
        id, deliveries = str(self.request.id), self.deliveries
        spelt = [want.key for want in self.wants]
        key, keys = (spelt[0], None) if len(spelt) == 1 else (None, spelt)
        return replace(
            self.header, id=id, key=key, keys=keys, publication=nonce, deliveries=deliveries
        )

    @property
    def deliveries(self) -> int:
        """How often the message was delivered before, over all that were made of it."""
        return deliveries_of(self.request, self.header, self.transport.delivered(self.request))

    @property
    def is_poisoned(self) -> bool:
        """Its queue would have given a plain one to its dead-letter queue by now.

        What was acknowledged early is not in the broker's hands any more. Until the message was
        sent again for the first time the broker counts by itself.
        """
        if not self.header.deliveries or not self.task.acks_late:
            return False
        deliveries, limit = self.deliveries, self.transport.limit(raw_of(self.request).arguments)
        if limit is None:
            complain(self.task.name, str(self.request.id), deliveries)
        return limit is not None and deliveries > limit

    def stays_for(self, time_limit: float | None) -> float:
        """Return for how many seconds at most the message stays in its pool process while nobody
        takes it, before that is left to the broker.

        As long as it would wait there with an eta. `time_limit`: the worker's own, for tasks
        without one; half of a limit is left, since a kill may acknowledge the message.
        """
        task, limits = self.task, self.request.timelimit or (None, None)
        hard, soft = limits[0] or task.time_limit or time_limit, limits[1] or task.soft_time_limit
        bounds = [float(limit) / 2 for limit in (hard, soft) if limit]
        return min([self.transport.longest_pause, *bounds])

    def sent_on(self) -> Delivery:
        """Return the delivery whose message is about to be sent again: see `header_to_send`.

        It is named as its copy is, and asks from now on whether that one was completed: no answer
        to a send does not mean that nothing was sent.
        """
        # (the deliveries are added up anew each time)
        header = replace(self.header_to_send, deliveries=self.header.deliveries)
        since = self.copy_since if self.copy_since is not None else header.first_mark or ""
        publication = publication_of(self.request, header, self.transport)
        return self._replace(
            header=header, publication=publication, copy_since=since, is_sent_on=True
        )

    def bounded(self, pause: float) -> float:
        """Return a pause as its transport can have it for the queue of the message."""
        raw = raw_of(self.request)
        return self.transport.pause_in(raw.queue, raw.arguments).bounded(pause)

    def conflicted(self, held: Held) -> Delivery:
        """Return the delivery with the conflict with this holder counted."""
        return self._replace(header=self.header.conflicted(held.now, held.mark))

    def turned(self) -> Delivery:
        """Return the delivery with one more turn counted that it waits."""
        return self._replace(header=self.header.turned())

    def waited(self, seconds: float) -> Delivery:
        """Return the delivery with so many seconds noted that its present wait has blocked for."""
        return self._replace(header=replace(self.header, waited=seconds))

    def unanswered(self) -> Delivery:
        """Return the delivery with one more outage of the store counted."""
        return self._replace(header=replace(self.header, outages=self.header.outages + 1))

    def waits_its_turn(self, held: Held) -> bool:
        """The holder is this very task: no policy is asked, for a policy could lose the message.

        A copy of a message whose first copy runs is never dropped: to acknowledge it would take
        away the only copy that the broker has, should the worker of the first one die. The same
        holds for a retry of a task whose earlier run has not ended yet, and for a tick that two
        schedulers sent, whatever task id each of them gave it. And nobody is refused for
        the sake of a message that may never have been sent. Nor is one that was given its lease as
        it was published: it was no duplicate then, and is none if that has lapsed.
        """
        waits = held.met in _WAITS_ITS_TURN or self.header.wait or self._is_no_duplicate
        return waits and not self.is_eager and not self._is_sibling(held)

    @property
    def _is_no_duplicate(self) -> bool:
        """The publisher was given the lock in question: who has it now has come later."""
        header = self.header
        return header.had and (self.bound.scope.is_publishers or self.key in header.leased)

    def lets_a_retry_pass(self, held: Held) -> bool:
        """The key is kept for a retry on its way, and this message can wait outside of the pool.

        Who blocks a pool process for that keeps out the very retry. With several permits all of
        them are: one that somebody works under may come free sooner.
        """
        if self.is_eager or any(Holder.parse(one).retry_no is None for one in held.in_the_way):
            return False
        parts = parts_of(self.request)
        return parts is not None and parts.queue is not None

    def is_own_earlier_run(self, held: Held) -> bool:
        """The holder is an earlier run of this very task, which sent this message and is ending."""
        return held.met is Met.TASK and not self.is_eager and not self._is_sibling(held)

    def _is_sibling(self, held: Held) -> bool:
        """The holder has the same message out of another queue: each of the two is to run."""
        return held.met is Met.TASK and are_siblings(self.publication, held.publication)

    def conflict(self, held: Held) -> Conflict:
        """Return what a policy is shown."""
        header = self.header
        first = held.now if header.first_conflict is None else header.first_conflict
        holder = Holder.parse(held.holder, held.since)
        return Conflict(
            key=self.key,
            task=self.task.name,
            task_id=str(self.request.id),
            holder=holder,
            attempt=header.attempt,
            waited=max(0.0, held.now - first),
            expires_in=held.expires_in,
            redelivered=self.transport.redelivered(self.request),
            in_canvas=in_canvas(self.request),
            live=held.live,
            holders=tuple(Holder.parse(one.holder, one.since) for one in held.holders) or (holder,),
        )


def _strictest(bounds: tuple[BoundLock, ...]) -> OnStoreError:
    """Return what all locks of a list allow: one store keeps them all, so none runs without it."""
    words = {bound.on_store_error for bound in bounds}
    return next(word for word in _STRICTEST_FIRST if word in words)
