"""Between which two moments of a task's life the lease is held."""

from __future__ import annotations

from difflib import get_close_matches
from enum import Enum
from typing import Any

from ..errors import LockConfigurationError

__all__ = ["Scope", "checked_scope", "is_queue_place", "key_of_name"]

_QUEUE_PLACE = "%queued"
"""What stands behind a key in the name of its queue place. In a key that a template makes, two
digits follow each `%`: it makes no such name."""


class Scope(str, Enum):
    """Between which two moments of a task's life the lease is held."""

    WHILE_RUNNING = "while_running"
    """The worker takes it, the body runs, the worker gives it back."""
    ACROSS_RETRIES = "across_retries"
    """The worker takes it as the task starts for the first time, keeps it through the pauses before
    retries, and gives it back when the task has ended for good."""
    UNTIL_STARTED = "until_started"
    """The publisher takes it, the worker gives it back right before the body starts: one waits in
    the queue. While a body runs another one may wait."""
    UNTIL_FINISHED = "until_finished"
    """The publisher takes it, the worker gives it back when the task has ended for good: one waits
    or runs."""

    @property
    def is_publishers(self) -> bool:
        """The publisher takes the lease, in `apply_async`, and the message carries it."""
        return self in (Scope.UNTIL_STARTED, Scope.UNTIL_FINISHED)

    @property
    def queues(self) -> bool:
        """There are times at which the key is kept for a message that no process runs."""
        return self is not Scope.WHILE_RUNNING

    @property
    def lasts(self) -> bool:
        """The key is kept from a run of the task to its retry."""
        return self in (Scope.ACROSS_RETRIES, Scope.UNTIL_FINISHED)

    def name_of(self, key: str) -> str:
        """Return the name under which a store has the lease of a key in this scope.

        That of UNTIL_STARTED is a queue place: it keeps nobody from running under the key.
        """
        return key + _QUEUE_PLACE if self is Scope.UNTIL_STARTED else key


def is_queue_place(name: str) -> bool:
    """Return whether a name in a store is that of a queue place, and no key that runs."""
    return name.endswith(_QUEUE_PLACE)


def key_of_name(name: str) -> str:
    """Return the key that a name in a store belongs to."""
    return name.removesuffix(_QUEUE_PLACE)


def checked_scope(value: Any) -> Scope:
    """Return the scope that a declaration means; raises `LockConfigurationError`."""
    try:
        return Scope(value)
    except ValueError:
        near = get_close_matches(str(value).lower(), [each.value for each in Scope], 1)
        meant = f" did you mean Scope.{Scope(near[0]).name}?" if near else ""
        known = ", ".join(f"Scope.{each.name}" for each in Scope)
        raise LockConfigurationError(
            f"Lock(scope={value!r}) is not known;{meant} this version has {known}"
        ) from None
