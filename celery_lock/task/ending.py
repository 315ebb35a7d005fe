"""How a run ends: what its release records, and to whom it leaves the key.

A completion is recorded where a copy of the message may be on its way; of a message that held no
lease it is a step of its own. A task that is to be retried leaves the key to its retry, where its
lock holds across retries.
"""

from __future__ import annotations

from datetime import timezone
from typing import Any, NamedTuple

from ..app.bound import BoundLock
from ..app.worker import acknowledges_last, connection_epoch
from ..message import is_recorded, of_retry, record_life, shown_mark
from ..model import Completion, End, Holder
from ..model.clock import steady
from .delivery import Delivery
from .ended_by import EndedBy, is_completion
from .queue_life import left_until

__all__ = ["Ending", "completion_of", "ends_of"]

_PLAIN = End()


class Ending(NamedTuple):
    """What a run came to, as far as it matters for its message and its key."""

    ended: EndedBy
    retry: Any = None
    """The signature of the retry, which is on its way; `None`: there is none."""


def ends_of(delivery: Delivery, ending: Ending) -> dict[str, End]:
    """Say how the run of a delivery ends, by the names of its keys; who is not there has a plain
    release. The record of the publication lies beside one of them."""
    heir = _heir(delivery, ending.retry)
    ends = {
        want.name: End(
            heir=heir,
            heir_ttl=_heir_ttl(delivery, want.bound),
            heir_publication=shown_mark(delivery.publication),
        )
        for want in (delivery.asked if heir else ())
        if want.bound.across_retries
    }
    # nothing is ever sent in eager mode
    if delivery.is_eager or not is_completion(ending.ended, delivery.task):
        return ends
    left = ends.get(delivery.home, _PLAIN)
    ends[delivery.home] = End(
        publication=delivery.publication,
        remember=record_life(delivery.transport, sent_on=delivery.is_sent_on),
        if_met=not _is_recorded(delivery),
        heir=left.heir,
        heir_ttl=left.heir_ttl,
        heir_publication=left.heir_publication,
    )
    return ends


def completion_of(delivery: Delivery, ended: EndedBy) -> Completion | None:
    """Return the completion of a message that held no lease; `None`: nobody asks for it."""
    if delivery.is_eager or not is_completion(ended, delivery.task) or not _is_recorded(delivery):
        return None
    life = record_life(delivery.transport, sent_on=delivery.is_sent_on)
    return Completion(delivery.home, delivery.publication, life)


def _is_recorded(delivery: Delivery) -> bool:
    acks_late = bool(delivery.task.acks_late) or acknowledges_last(delivery.task.app)
    return is_recorded(
        delivery.request,
        delivery.header,
        delivery.transport,
        sent_on=delivery.is_sent_on,
        acks_late=acks_late,
        acknowledged=steady() if acks_late else delivery.began,
        connection_epoch=connection_epoch(),
    )


def _heir(delivery: Delivery, signature: Any) -> str:
    request = delivery.request
    kept = [want for want in delivery.wants if want.bound.across_retries]
    if not kept or signature is None:
        return ""
    if not delivery.header.given and any(
        _key_of(delivery, want.bound, signature) != want.key for want in kept
    ):
        return ""  # with other arguments, it asks for other keys
    return str(Holder.for_retry(str(request.id), (request.retries or 0) + 1))


def _key_of(delivery: Delivery, bound: BoundLock, signature: Any) -> str | None:
    args, kwargs = tuple(signature.args or ()), dict(signature.kwargs or {})
    context = delivery.header.context  # its retry has the same
    if bound.key.shows_sender:  # but headers of its own
        shown = bound.key.shown(context)
        context = of_retry(signature.options, delivery.header, shown).context
    try:
        return bound.key.render(args, kwargs, context)
    except Exception:  # it will say so itself, when it comes
        return None


def _heir_ttl(delivery: Delivery, bound: BoundLock) -> float:
    longest, expires = bound.queue_ttl, delivery.request.expires
    if expires is None:
        return longest
    left = left_until(expires, timezone.utc)
    return longest if left is None else max(1.0, min(longest, left))
