"""A class whose `__call__` hands on other arguments than were sent: one call may have two keys."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from ..app.bound import BoundLock
from ..message import Header
from .body import own_call

__all__ = ["warn_of_other_arguments"]

logger = logging.getLogger("celery_lock")


def warn_of_other_arguments(
    task: Any,
    bounds: tuple[BoundLock, ...],
    request: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    """Warn, once for each class, where the key of a publisher is not that of the body's arguments.

    A class may add the user to the arguments in `apply_async`, and take it out in `__call__`. Then
    the key of `Lock()` is another one for each user, and duplicates are sent. Never raises.
    """
    sent = tuple(request.args or ()), dict(request.kwargs or {})
    with suppress(Exception):  # an array, say, that cannot be compared: its keys can
        if sent == (args, kwargs):
            return
    header = Header.of(request)
    if header.given:
        return
    for bound in bounds:  # of all of them the message carries the keys, if one is its publisher's
        try:
            made = bound.key.render(*sent, context=header.context)
            would_be = bound.key.render(args, kwargs, context=header.context)
        except Exception:  # the class adds what is missing, and the publisher has said so
            continue
        if made != would_be:
            cls = type(task)
            cls._compares = False
            logger.warning(
                "task %s: %s.__call__ hands on other arguments than were sent, and its key shows"
                " them: the publisher of this message makes %r, and of what the body gets it would"
                " be %r. So a duplicate is sent too, if these arguments differ; write a template"
                " that names others",
                task.name,
                getattr(own_call(cls), "__name__", cls.__name__),
                made,
                would_be,
            )
            return
