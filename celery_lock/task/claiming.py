"""The claims of a delivery: what is asked of the store for each of its keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..app import notes
from ..app.locks import AppLocks
from ..engine.interrupt import Interrupt
from ..engine.locker import Ask, Grant, Locker
from ..model import Claim, Held, Holder, Met, Refused
from ..model.made import made
from ..model.scope import is_queue_place
from .delivery import Delivery
from .heirs import heir_of
from .wants import Want

__all__ = ["ask_for", "but_for_places", "dead_run", "met", "note_claims"]


def ask_for(
    want: Want,
    delivery: Delivery,
    holder: str,
    locks: AppLocks,
    interrupt: Interrupt | None,
) -> Ask:
    """Return what is asked for one of the keys of a delivery."""
    bound, name, subject = want.bound, want.name, delivery.subject
    if name != delivery.key:  # not the lock in question
        subject = subject._replace(template=bound.key.template)
    on_lost = None
    if interrupt is not None and bound.interrupts:
        on_lost = partial(interrupt.lost, key=name)
    claim = Claim(
        key=name,
        holder=holder,
        ttl=bound.ttl,
        at_least=bound.at_least,
        publication=delivery.publication,
        # the record of the publication lies beside one of the keys
        copy_since=delivery.copy_since if name == delivery.home else None,
        heir_of=heir_of(want, delivery),
        limit=bound.limit,
    )
    ceiling = bound.ceiling_of(
        delivery.task, delivery.request, locks.time_limit, enforced=locks.enforces_limits
    )
    asked = (claim, subject, ceiling, delivery.on_store_error, on_lost)
    return made(Ask, asked)  # type: ignore[no-any-return]


def dead_run(held: Held, own_holder: str, request: Any) -> str:
    """Return whose key it is, if that is a run of this very delivery in a process that is dead.

    Where a process dies before Celery's main process has heard that it began, that gives the
    message to the next one, and tells nobody of a death. Or the key is kept for an earlier try of
    the task, which ran on a worker without this package and left it behind, or for this very one,
    by a worker whose lock had another scope.
    """
    if held.met not in (Met.PUBLICATION, Met.TASK):
        return ""
    it, own = Holder.parse(held.holder), Holder.parse(own_holder)
    if it.retry_no is not None:
        is_ours = it.retry_no <= (request.retries or 0) or request.replaced_task_nesting
        return held.holder if is_ours else ""
    delivery, dot, _ = it.nonce.rpartition(".")
    if f"{delivery}{dot}" != own.nonce or it.pid == own.pid or not notes.is_gone(it.pid):
        return ""
    return str(replace(it, nonce=own.nonce))


def met(got: list[Grant] | Refused) -> list[Grant] | Held:
    """Return the grants of several claims, or whom one of them has met."""
    return got.held if isinstance(got, Refused) else got


def note_claims(delivery: Delivery, holder: str, publication: str) -> str:
    """Note what is about to be claimed, should this process be killed; return the publication."""
    if len(delivery.asked) == 1:
        names = [delivery.asked[0].name]
    else:  # the one first that a completion is told beside
        names = sorted([want.name for want in delivery.asked], key=delivery.home.__ne__)
    notes.note(delivery.task.name, holder, names, publication)
    return publication


def but_for_places(grants: Sequence[Grant], locker: Locker) -> Sequence[Grant]:
    """Give the queue places among these grants back, and return all others."""
    places = [grant for grant in grants if is_queue_place(grant.lease.key)]
    for place in places:
        locker.release(place)
    return [grant for grant in grants if grant not in places] if places else grants
