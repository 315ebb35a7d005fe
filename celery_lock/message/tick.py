"""What the scheduler writes into the header of a tick's message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..errors import LockError
from .carried import HEADER, Survives
from .header import Header
from .times import moment_of

__all__ = ["tick_header"]


def tick_header(
    space: str, entry: str, due: float, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the value of our header for one tick of a schedule.

    Two messages of one tick have the same publication, whoever sent them: the second is a copy of
    the first. A retry of the task is a message of its own.

    Args:
        space: keeps apps apart that have an entry of the same name; usually the app's name.
        entry: the entry's name in the schedule.
        due: when the tick was due; seconds since 1970.
        given: the header that the entry's author wrote, if any; a key in it is kept.

    Raises `LockError` for a time that is none, and for a `given` that is no header of ours.
    """
    entry = str(entry)  # a schedule may number its entries
    moment = moment_of(due)
    if moment is None:
        raise LockError(f"the tick of {entry!r} is due at {due!r}, which is no time")
    written = moment.isoformat()
    authors = Header.read({HEADER: given or None}, retries=0, nesting=0)
    header = replace(
        authors.through(Survives.TICK),
        publication=":".join(("beat", _part(space), _part(entry), written)),
        beat={"entry": entry, "due": written},
        first_published=due,
    )
    return header.write()


def _part(text: str) -> str:
    """Without a colon, so that no app's entry is another's."""
    return text.replace("%", "%25").replace(":", "%3A")
