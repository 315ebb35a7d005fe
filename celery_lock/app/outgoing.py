"""What a key can show of a call whose message is not published yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..message import NO_HEADER, Header, headers_in, of_call, routed
from .bound import BoundLock

__all__ = ["header_of_call", "outgoing"]


def header_of_call(options: Mapping[str, Any], task_id: str | None = None) -> Header:
    """Return the header of ours that is among the options of a call.

    Raises `LockError` for one that is no header of ours.
    """
    if not options:  # most calls have none
        return NO_HEADER
    return Header.read(
        headers_in(options),
        id=task_id,
        retries=options.get("retries") or 0,
        nesting=options.get("replaced_task_nesting") or 0,
    )


def outgoing(
    task: Any,
    bound: Sequence[BoundLock],
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    header: Header,
    now: Callable[[], float],
) -> tuple[Header, dict[str, Any]]:
    """Return the header of the message that `task.apply_async(args, kwargs, **options)` is about to
    publish, so that `BoundLock.key_of` can make its keys; and with which options to publish it.

    `header`: that of ours among the options. Headers that come later, by receivers of signals or by
    classes behind ours, no key shows. With the options it goes to the queue that a key shows,
    though the app's routers may choose another one each time. Raises what these raise.
    """
    given = dict(options)
    shows_sender = timed = False
    for lock in bound:  # each publish comes by, and any() over them takes three times as long
        shows_sender = shows_sender or lock.key.shows_sender
        timed = timed or lock.key.timed
    if shows_sender:
        queue = None
        if any(lock.key.shows_queue for lock in bound):
            given["router"] = router = routed(task, args, kwargs, options)
            queue = router.queue
        header = of_call(options, header, queue)
    if timed and header.first_published is None:
        header = replace(header, first_published=now())
    return header, given
