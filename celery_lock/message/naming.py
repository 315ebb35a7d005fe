"""The name of a message that is published: a fresh nonce, or the one that was handed over."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from contextvars import ContextVar, Token
from typing import Any

__all__ = ["named", "new_publication", "nonce_for"]


def new_publication() -> str:
    """Return 72 random bits in twelve letters.

    From the system each time: nothing of it is shared with a child, however that was forked.
    """
    return urlsafe_b64encode(os.urandom(9)).decode()


class named:  # used as a function is: `with named("..."): task.apply_async()`
    """Hand a nonce over to the message that is published within.

    One message alone gets it, and of others that are published within (by a receiver of a signal,
    say) none: it is the first one, or the first one of the task `task_id` where that is given.
    """

    __slots__ = ("_before", "_nonce", "_task_id")

    def __init__(self, nonce: str, task_id: str | None = None) -> None:
        self._nonce: str | None = nonce
        self._task_id = task_id
        self._before: Token[named | None] | None = None

    def __enter__(self) -> None:
        self._before = _handed.set(self)

    def __exit__(self, *_: Any) -> None:
        assert self._before is not None
        _handed.reset(self._before)

    def take(self, task_id: str) -> str | None:
        """Return the nonce if it is for this message; whoever has asked has it."""
        if self._task_id is not None and self._task_id != task_id:
            return None
        nonce, self._nonce = self._nonce, None
        return nonce


_handed: ContextVar[named | None] = ContextVar("celery_lock_named", default=None)


def nonce_for(task_id: str, otherwise: str | None = None) -> str:
    """Return the nonce of a message that is published now, for this task.

    `otherwise`: the one that it has where none is handed over; `None`: a fresh one.
    """
    handed = _handed.get()
    return (handed is not None and handed.take(task_id)) or otherwise or new_publication()
