"""What is kept for a message, as it says itself: by its publisher, or by the try before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..model import Holder
from .carried import HEADER, INNER, is_of_another, written_in

__all__ = ["Queued", "names_lease", "queued_in", "queued_of"]


_FIELDS = frozenset({"lease", "kept", "all_kept"})
"""The fields of the header that say so."""


class Queued(NamedTuple):
    """A lease that is kept for a message in its queue, until its worker adopts it or frees it."""

    task_id: str
    retry_no: int
    names: tuple[str, ...]
    """What it is called in its store: one name for each lock."""
    store: str
    """The random id of that store; empty where it has none."""

    @property
    def holder(self) -> str:
        """Who has it meanwhile, in its written form."""
        return str(Holder.for_retry(self.task_id, self.retry_no))


def queued_of(request: Any) -> Queued | None:
    """Return the lease that the message of a request names; `None`: it names none.

    Never raises: it is freed also where the header is wrong otherwise. An eager call has no
    message, whatever headers it was given.
    """
    outer, within = getattr(request, HEADER, None), request.headers
    inner = within.get(HEADER) if isinstance(within, dict) else None
    if (inner is None or inner is outer) and _is_usual(outer):
        return None
    if (outer is None and inner is None) or request.is_eager:
        return None
    return _first((outer, inner), str(request.id), request.retries or 0)


def names_lease(about: Mapping[str, Any]) -> bool:
    """Return whether a message may name one. Each message of a locked task is asked."""
    written = about.get(HEADER)
    names_none = written is None or (type(written) is dict and _FIELDS.isdisjoint(written))
    if names_none and INNER not in about:
        return False
    return queued_in(about) is not None


def queued_in(headers: Any, task_id: str | None = None) -> Queued | None:
    """Return the same for the headers of a message, in the main process.

    `task_id`: the one of a message that says it elsewhere.
    """
    if not isinstance(headers, Mapping):
        return None
    task_id, retry_no = str(headers.get("id") or task_id or ""), headers.get("retries") or 0
    return _first(tuple(written_in(headers)), task_id, retry_no if type(retry_no) is int else 0)


def _is_usual(written: Any) -> bool:
    """The message names none, which is seen in few steps: each one is asked."""
    if written is None:
        return True
    return type(written) is dict and _FIELDS.isdisjoint(written)


def _first(found: tuple[Any, ...], task_id: str, retry_no: int) -> Queued | None:
    for written in found:
        if not isinstance(written, Mapping) or is_of_another(written, task_id) or not task_id:
            continue
        lease, kept = written.get("lease"), _texts([written.get("kept")])
        taken = lease if isinstance(lease, Mapping) else {}
        names = (*_texts(taken.get("names")), *kept, *_texts(written.get("all_kept")))
        if names:
            store = taken.get("store")
            store = store if isinstance(store, str) else ""
            return Queued(task_id, retry_no, tuple(dict.fromkeys(names)), store)
    return None


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        return ()
    return tuple(text for text in value if isinstance(text, str) and text)
