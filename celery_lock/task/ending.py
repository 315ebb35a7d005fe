"""How a run ends: what its release records, and to whom it leaves the key.

A completion is recorded where a copy of the message may be on its way. A task that is to be
retried leaves the key to its retry, where its lock holds across retries.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from celery.utils.time import maybe_iso8601

from ..app.worker import connection_epoch
from ..message import remembered_for
from ..model import End, Holder
from ..model.clock import steady
from .delivery import Delivery

__all__ = ["Ending", "end_of"]


@dataclass(frozen=True)
class Ending:
    """What a body came to, as far as it matters for its key."""

    acknowledged: bool
    """The message is not to be delivered again; it may be all the same if the process ends."""
    retry: Any = None
    """The signature of the retry, which is on its way; `None`: there is none."""


def end_of(delivery: Delivery, ending: Ending) -> End | None:
    """Say how the run of a delivery ends; `None`: it is a plain release."""
    task, request = delivery.task, delivery.request
    remember = 0.0
    if ending.acknowledged and not delivery.is_eager:  # nothing is ever sent in eager mode
        remember = remembered_for(
            request,
            delivery.header,
            delivery.transport,
            acks_late=bool(task.acks_late),
            acknowledged=steady() if task.acks_late else delivery.began,
            connection_epoch=connection_epoch(),
        )
    heir = _heir(delivery, ending.retry)
    if not remember and not heir:
        return None
    return End(
        publication=delivery.publication if remember else "",
        remember=remember,
        heir=heir,
        heir_ttl=_heir_ttl(delivery) if heir else 0.0,
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
