"""For whom a key is kept while no process runs its message: who leaves it, who takes it over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..app.bound import BoundLock
from ..message import headers_in, of_retry, shown_mark
from ..message.carried import is_of_another, written_in
from ..model import End, Holder, Scope
from .delivery import Delivery
from .queue_life import retry_life, warn_of_pause
from .wants import Want

__all__ = ["heir_of", "kept_for_retry", "left_to_heirs"]

_NONE: Mapping[str, End] = {}


def heir_of(want: Want, delivery: Delivery) -> str:
    """Return the holder that a key was left to for this message; empty: to none.

    By its publisher, by the try before this retry, or by a run that gave the message back.
    """
    if not want.bound.across_retries and delivery.header.lease is None:
        return ""  # nearly always
    retry_no = delivery.request.retries or 0
    if _is_kept(want, delivery) or (want.bound.across_retries and retry_no):
        return str(Holder.for_retry(str(delivery.request.id), retry_no))
    return ""


def left_to_heirs(
    delivery: Delivery, retry: Any, replacement: Any, goes_back: bool
) -> Mapping[str, End]:
    """Return how the keys are left that this run does not give back, by their names.

    Args:
        retry: the signature of the retry that is on its way, if there is one.
        replacement: the signature of what takes the place of the task, if that is published.
        goes_back: the broker gives the message out once more.
    """
    retry_no, sent, wants = delivery.request.retries or 0, None, delivery.wants
    if retry is not None:
        kept = [want for want in wants if want.bound.across_retries]
        sent, retry_no = retry, retry_no + 1
        for want in kept:
            warn_of_pause(delivery.task, want.key, want.bound.queue_ttl, retry.options)
    elif replacement is not None:
        kept = [want for want in wants if want.bound.scope is Scope.UNTIL_FINISHED]
        sent, retry_no = replacement, replacement.options.get("retries") or 0
    elif goes_back:
        kept = [want for want in wants if _is_kept(want, delivery)]
    else:
        return _NONE
    task_id = str(delivery.request.id)
    if sent is not None and str(sent.options.get("task_id") or task_id) != task_id:
        return _NONE  # under an id of its own, it is the heir of nobody
    if sent is not None and _asks_for_others(delivery, kept, sent):
        return _NONE
    heir = str(Holder.for_retry(task_id, retry_no))
    mark, names = shown_mark(delivery.publication), {want.name for want in kept}
    options = {} if replacement is not None else {"expires": delivery.request.expires}
    if sent is not None:
        options.update(sent.options)
    return {
        want.name: End(
            heir=heir,
            heir_ttl=retry_life(delivery.task, options, want.bound.queue_ttl),
            heir_publication=mark,
        )
        for want in delivery.asked
        if want.name in names
    }


def kept_for_retry(delivery: Delivery) -> str | list[str] | None:
    """Return what a run leaves to its retry: a name in the store, several where its task has
    several locks; `None`: nothing."""
    if delivery.header.unlocked:
        return None
    names = [want.name for want in delivery.asked if want.bound.across_retries]
    return names if len(names) > 1 else next(iter(names), None)


def _is_kept(want: Want, delivery: Delivery) -> bool:
    """The key is kept for the message while it is in its queue, for its first run too."""
    if delivery.is_eager:
        return False
    return want.bound.scope is Scope.UNTIL_FINISHED or want.name in delivery.header.leased


def _asks_for_others(delivery: Delivery, kept: Sequence[Want], sent: Any) -> bool:
    """Its header names other keys, or its arguments spell others: who is sent would never come."""
    named = _named_in(delivery, sent)
    if named is not None:
        pairs = zip(delivery.wants, named, strict=True)
        return any(key != want.key for want, key in pairs if want in kept)
    if delivery.header.given:
        return False  # its header is that of this run, which names the keys
    return any(_key_of(delivery, want.bound, sent) != want.key for want in kept)


def _named_in(delivery: Delivery, sent: Any) -> Sequence[Any] | None:
    """Return the keys that the header of a retry or a replacement names, one for each lock."""
    for written in written_in(headers_in(sent.options)):
        if isinstance(written, Mapping) and not is_of_another(written, str(delivery.request.id)):
            key, keys = written.get("key"), written.get("keys")
            named = keys if key is None else [key]
            if isinstance(named, (list, tuple)) and len(named) == len(delivery.wants):
                return named
    return None


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
