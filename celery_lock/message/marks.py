"""A mark in the name of a publication: of which task a message is, for a publisher that meets it.

Who holds a key is known by the id of a task, and two tasks, or two apps, may have one key. A result
answers a duplicate only where the holder is a message of the same task in the same app, and where
that stores its result.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256

__all__ = ["is_mark_of", "mark_in", "mark_of", "marked", "shown_mark"]

_DOT = "."
"""Before a mark; no nonce of ours has one."""
_LETTERS = 6
_LONGEST_NONCE = 16
"""A name with its mark fits into what stands for a long name: see `in_queue`."""


def _digest(text: str) -> str:
    return urlsafe_b64encode(sha256(text.encode("utf-8", "surrogatepass")).digest()).decode()


@lru_cache(maxsize=1024)
def mark_of(app: str, task: str, *, stored: bool = True) -> str:
    """Return the mark of a task's messages; those whose result is not `stored` have another."""
    return _digest(f"{app}\0{task}\0{'' if stored else 'ignored'}")[:_LETTERS]


def marked(nonce: str, mark: str) -> str:
    """Return the name of a publication with this mark; an empty one is none."""
    if not mark:
        return nonce
    if _DOT in nonce and mark_in(nonce):
        nonce = nonce[: -_LETTERS - 1]
    if len(nonce) > _LONGEST_NONCE or _DOT in nonce:
        nonce = _digest(nonce)[:_LONGEST_NONCE]
    return f"{nonce}{_DOT}{mark}"


def mark_in(publication: str) -> str:
    """Return the mark in a publication's name, in a queue or not; `""`: it has none."""
    mark = publication.partition("@")[0].rpartition(_DOT)[2]
    return mark if len(mark) == _LETTERS and _DOT in publication else ""


def shown_mark(publication: str) -> str:
    """Return what a queued lease shows as its publication, of a message with this one."""
    mark = mark_in(publication)
    return mark and f"{_DOT}{mark}"


def is_mark_of(mark: str, app: str, task: str) -> bool | None:
    """Return whether a mark is of this task and its result is stored.

    `False`: it is of this task, and nobody stores its result; `None`: it is not of this task.
    """
    if mark == mark_of(app, task):
        return True
    return False if mark and mark == mark_of(app, task, stored=False) else None
