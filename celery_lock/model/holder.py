"""Who has a key, or for whom it is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Holder", "kept_for", "retry_no_of", "task_id_of"]

_OUTSIDE = "hold()/"
"""Begins what stands in the place of a task id where a key is held outside a task."""
_QUEUED = re.compile(r"(.*)/queued/(0|[1-9][0-9]*)", re.DOTALL)


@dataclass(frozen=True)
class Holder:
    """Who has a key: one delivery of one message, in one process of one node.

    Written `task_id#node#pid#nonce` in the store, and for a message `nonce.n`: the nonce is fresh
    for each delivery, so that a redelivered copy of a message, which has the same task id, is
    somebody else; its claims are numbered, so that a claim that was undone is none of the next.

    A key that is kept for a retry has a holder too, which no process is: see `for_retry`. And one
    that is held outside a task, by `hold()`: see `outside`.
    """

    task_id: str
    node: str = ""
    pid: int = 0
    nonce: str = ""
    since: float | None = None
    """When it took the key: seconds since 1970 by the store's clock; `None` when unknown."""
    retry_no: int | None = None
    """The retry of the task that the key is kept for; `None`: a process has the key."""

    @classmethod
    def for_retry(cls, task_id: str, retry_no: int) -> Holder:
        """Return the holder that keeps a key for a retry which has not come yet.

        Written `task_id/queued/retry_no`.
        """
        return cls(task_id, retry_no=retry_no)

    @classmethod
    def outside(cls, node: str, pid: int, nonce: str) -> Holder:
        """Return the holder that is no task but a `hold()`, each of which is somebody else."""
        return cls(f"{_OUTSIDE}{nonce}", node, pid, nonce)

    @property
    def is_hold(self) -> bool:
        """It is no task: the key is held by `hold()`, in a view or a script."""
        return self.task_id.startswith(_OUTSIDE)

    @property
    def who(self) -> str:
        """Who it is, for an error message: the task id, or where a `hold()` is."""
        if not self.is_hold:
            return self.task_id
        return f"hold() on {self.node} (pid {self.pid})" if self.node else "hold()"

    def __str__(self) -> str:
        if self.retry_no is not None:
            return f"{self.task_id}/queued/{self.retry_no}"
        return f"{self.task_id}#{self.node.replace('#', '_')}#{self.pid}#{self.nonce}"

    @classmethod
    def parse(cls, text: str, since: float | None = None) -> Holder:
        """Read the written form, from the right: a task id may have a `#` of its own.

        A text that is no such form (another program's) is taken as a task id whole.
        """
        parts = text.rsplit("#", 3)
        if len(parts) == 4 and parts[2].isdigit():
            return cls(parts[0], parts[1], int(parts[2]), parts[3], since)
        kept = _QUEUED.fullmatch(text)
        if kept is not None:
            return cls(kept[1], since=since, retry_no=int(kept[2]))
        return cls(text, since=since)


def task_id_of(holder: str) -> str:
    """Return the task id alone of a written holder: each claim asks for it."""
    parts = holder.rsplit("#", 3)
    if len(parts) == 4 and parts[2].isdigit():
        return parts[0]
    kept = _QUEUED.fullmatch(holder)
    return holder if kept is None else kept[1]


def retry_no_of(holder: str) -> int | None:
    """Return the retry number alone of a written holder, which publishing asks for; `None`: it is
    no holder that keeps a key for a message."""
    parts = holder.rsplit("#", 3)
    if len(parts) == 4 and parts[2].isdigit():
        return None
    kept = _QUEUED.fullmatch(holder)
    return None if kept is None else int(kept[2])


def kept_for(holder: str) -> str | None:
    """Return the task id of a holder that keeps a key for a message; `None`: it is another one."""
    it = Holder.parse(holder)
    return None if it.retry_no is None else it.task_id
