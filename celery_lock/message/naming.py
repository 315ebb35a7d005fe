"""The name of a message that is published: a fresh nonce, or the one that was handed over."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any

__all__ = ["handed_to", "is_handed_to", "named", "new_publication", "not_sent"]


def new_publication() -> str:
    """Return 72 random bits in twelve letters.

    From the system each time: nothing of it is shared with a child, however that was forked.
    """
    return urlsafe_b64encode(os.urandom(9)).decode()


class named:  # used as a function is: `with named("..."): task.apply_async()`
    """Hand a nonce over to the message that is published within, and fields of its header.

    One message alone gets it, and of others that are published within (by a receiver of a signal,
    say) none: it is the first one, or the first one of the task `task_id` where that is given.
    """

    __slots__ = ("_before", "_nonce", "fields", "is_sent", "task_id")

    def __init__(
        self,
        nonce: str,
        task_id: str | None = None,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.fields = fields
        """What the header says besides."""
        self.is_sent = False
        """The message was given it, and went to the broker for all that is known."""
        self._nonce: str | None = nonce
        self.task_id = task_id
        self._before: Token[named | None] | None = None

    def __enter__(self) -> named:
        self._before = _handed.set(self)
        return self

    def __exit__(self, *_: Any) -> None:
        assert self._before is not None
        _handed.reset(self._before)

    def take(self, task_id: str) -> str | None:
        """Return the nonce if it is for this message; whoever has asked has it."""
        if self.task_id is not None and self.task_id != task_id:
            return None
        nonce, self._nonce = self._nonce, None
        self.is_sent = nonce is not None or self.is_sent
        return nonce


_handed: ContextVar[named | None] = ContextVar("celery_lock_named", default=None)


def handed_to(task_id: str) -> tuple[str | None, Mapping[str, Any]]:
    """Return the nonce and the fields that are handed over to a message of this task, if any."""
    handed = _handed.get()
    nonce = None if handed is None else handed.take(task_id)
    return (None, _NOTHING) if handed is None or nonce is None else (nonce, handed.fields)


def is_handed_to(task_id: Any) -> bool:
    """Whether something is handed over to a message under this very id, which it has to keep."""
    handed = _handed.get()
    return handed is not None and task_id is not None and handed.task_id == task_id


def not_sent() -> None:
    """The message that something was handed to did not go to the broker in the end."""
    handed = _handed.get()
    if handed is not None:
        handed.is_sent = False


_NOTHING: Mapping[str, Any] = MappingProxyType({})
