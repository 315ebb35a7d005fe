"""What a policy is shown, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Conflict", "Decision", "Holder", "OnConflict", "task_id_of"]


@dataclass(frozen=True)
class Holder:
    """Who has a key: one delivery of one message, in one process of one node.

    Written `task_id#node#pid#nonce` in the store. The nonce is fresh for each delivery, so that
    a redelivered copy of a message, which has the same task id, is somebody else.
    """

    task_id: str
    node: str = ""
    pid: int = 0
    nonce: str = ""
    since: float | None = None
    """When it took the key: seconds since 1970 by the store's clock; `None` when unknown."""

    def __str__(self) -> str:
        return f"{self.task_id}#{self.node.replace('#', '_')}#{self.pid}#{self.nonce}"

    @classmethod
    def parse(cls, text: str, since: float | None = None) -> Holder:
        """Read the written form, from the right: a task id may have a `#` of its own.

        A text that is no such form (another program's) is taken as a task id whole.
        """
        parts = text.rsplit("#", 3)
        if len(parts) == 4 and parts[2].isdigit():
            return cls(parts[0], parts[1], int(parts[2]), parts[3], since)
        return cls(text, since=since)


def task_id_of(holder: str) -> str:
    """Return the task id alone of a written holder: each claim asks for it."""
    parts = holder.rsplit("#", 3)
    return parts[0] if len(parts) == 4 and parts[2].isdigit() else holder


@dataclass(frozen=True)
class Conflict:
    """A claim met a holder. A policy looks at this and answers with a decision."""

    key: str
    """What was asked for."""
    task: str
    """The name of the task that asked."""
    task_id: str
    """The id of the task that asked."""
    holder: Holder
    """Who has the key, or had it last while `at_least` keeps it taken."""
    attempt: int
    """How often this message has met a conflict, this one included: 1 at the first."""
    waited: float
    """Seconds since its first conflict, by the store's clock: 0 at the first."""
    expires_in: float
    """Seconds until the key is free if its holder is never heard of again."""
    redelivered: bool
    """The broker says that this message was delivered before."""
    in_canvas: bool
    """The task belongs to a chain, group or chord, or has a callback: somebody waits for it."""


class Decision:
    """What is done about a conflict: the value that `skip()`, `requeue()`, ... return."""

    __slots__ = ()


OnConflict = Decision | Callable[[Conflict], Decision]
"""A policy: a decision for every conflict, or a function that answers each with one."""
