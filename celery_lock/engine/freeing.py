"""Freeing a lease that is kept for a message, where no run of the message adopts it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..errors import StoreError
from ..events import Subject
from ..model import Holder
from .grant import Reports
from .locker import Locker
from .pending_calls import NOT_YET

__all__ = ["FREED_FOR", "free_here", "free_soon"]

FREED_FOR = 300.0
"""Seconds for which a freeing is tried again while the store gives no answer. Longer keeps more of
them waiting in an outage; after a shorter one more keys stay taken for their `queue_ttl`."""


def free_here(locker: Locker, name: str, holder: str, subject: Subject) -> None:
    """Free it now, and without an answer in the background. Raises nothing of its own."""
    free = partial(_free, locker, name, holder, subject)
    try:
        free()
    except StoreError as error:
        locker.pending.add(free, for_=FREED_FOR)
        reports = Reports(locker.observers, locker.store.url)
        reports.failed(name, subject, "free", error, "retry")
    except BaseException:  # a time limit or a shutdown fell into the call
        locker.pending.add(free, for_=FREED_FOR)
        raise


def free_soon(
    locker: Locker,
    name: str,
    holder: str,
    subject: Subject,
    *,
    gone: Callable[[], bool] = lambda: True,
) -> None:
    """Free it in the background, once the process is `gone` that could still adopt it."""

    def free() -> object:
        if not gone():
            return NOT_YET
        _free(locker, name, holder, subject)
        return None

    locker.pending.add(free, for_=FREED_FOR)


def _free(locker: Locker, name: str, holder: str, subject: Subject) -> None:
    """Free what is kept for a message, and for a retry also what an earlier try has left behind.

    That has run on a worker without this package then, which does not leave it to the retry.
    """
    own = Holder.parse(holder)
    if not own.retry_no:
        locker.free_now(name, holder, subject)
        return
    held = locker.store.peek(name)
    for permit in () if held is None else held.holders:
        its = Holder.parse(permit.holder)
        is_kept = permit.unconfirmed or (its.retry_no is not None and its.retry_no <= own.retry_no)
        if its.task_id == own.task_id and is_kept:
            locker.free_now(name, permit.holder, subject)
