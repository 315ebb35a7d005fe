"""How a run ends: what its release records, and to whom it leaves the key.

A completion is recorded where a copy of the message may be on its way; of a message that held no
lease it is a step of its own. A task that is to be retried leaves the key to its retry, where its
lock holds across retries.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, NamedTuple

from celery.utils.time import maybe_iso8601

from ..app.worker import acknowledges_last, connection_epoch
from ..message import is_recorded, of_retry, record_life
from ..model import Completion, End, Holder
from ..model.clock import steady
from .delivery import Delivery
from .ended_by import EndedBy, is_completion

__all__ = ["Ending", "completion_of", "end_of"]


class Ending(NamedTuple):
    """What a run came to, as far as it matters for its message and its key."""

    ended: EndedBy
    retry: Any = None
    """The signature of the retry, which is on its way; `None`: there is none."""


def end_of(delivery: Delivery, ending: Ending) -> End | None:
    """Say how the run of a delivery ends; `None`: it is a plain release."""
    heir = _heir(delivery, ending.retry)
    heir_ttl = _heir_ttl(delivery) if heir else 0.0
    # nothing is ever sent in eager mode
    if delivery.is_eager or not is_completion(ending.ended, delivery.task):
        return End(heir=heir, heir_ttl=heir_ttl) if heir else None
    return End(
        publication=delivery.publication,
        remember=record_life(delivery.transport, sent_on=delivery.is_sent_on),
        if_met=not _is_recorded(delivery),
        heir=heir,
        heir_ttl=heir_ttl,
    )


def completion_of(delivery: Delivery, ended: EndedBy) -> Completion | None:
    """Return the completion of a message that held no lease; `None`: nobody asks for it."""
    if delivery.is_eager or not is_completion(ended, delivery.task) or not _is_recorded(delivery):
        return None
    life = record_life(delivery.transport, sent_on=delivery.is_sent_on)
    return Completion(delivery.key, delivery.publication, life)


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
    if not delivery.bound.across_retries or signature is None:
        return ""
    if not delivery.header.given and _key_of(delivery, signature) != delivery.key:
        return ""  # with other arguments, it asks for another key
    return str(Holder.for_retry(str(request.id), (request.retries or 0) + 1))


def _key_of(delivery: Delivery, signature: Any) -> str | None:
    args, kwargs = tuple(signature.args or ()), dict(signature.kwargs or {})
    context = delivery.header.context  # its retry has the same
    if delivery.bound.key.shows_sender:  # but headers of its own
        shown = delivery.bound.key.shown(context)
        context = of_retry(signature.options, delivery.header, shown).context
    try:
        return delivery.bound.key.render(args, kwargs, context)
    except Exception:  # it will say so itself, when it comes
        return None


def _heir_ttl(delivery: Delivery) -> float:
    longest, expires = delivery.bound.queue_ttl, delivery.request.expires
    if expires is None:
        return longest
    until = maybe_iso8601(expires)
    if not isinstance(until, datetime):
        return longest
    if until.tzinfo is None:
        until = until.replace(tzinfo=timezone.utc)
    left = (until - datetime.now(timezone.utc)).total_seconds()
    return max(1.0, min(longest, left))
