"""Flags of a worker, which its main process writes and its pool processes read.

Celery lets no pool process know of a warm shutdown, of a lost connection, or whether monitors want
events. No lock guards the flags, which a killed process could leave held.
"""

from __future__ import annotations

import mmap
from typing import Any

from celery.worker import state

__all__ = [
    "asked_to_stop",
    "begin",
    "connection_epoch",
    "count_connection",
    "follow_events",
    "send_events",
    "sends_events",
    "share",
    "stopping",
]

_flags = mmap.mmap(-1, 3)  # an anonymous map is shared over a fork
_STOPPING = 0
"""Index of the flag that is 1 once the worker has been asked to stop."""
_CONNECTIONS = 1
"""Index of the flag that counts the worker's connections to its broker, made and lost, modulo
256."""
_EVENTS = 2
"""Index of the flag that is 1 while the worker sends the events of tasks."""


def share(flags: mmap.mmap) -> None:
    """Write and read the flags in this memory from now on, which other processes have too."""
    global _flags
    _flags = flags


def begin() -> None:
    """A worker starts in this process: nobody has asked it to stop yet."""
    _flags[_STOPPING] = 0


def asked_to_stop(**_: Any) -> None:
    """The worker has been asked to stop: a receiver of Celery's `worker_shutting_down`."""
    _flags[_STOPPING] = 1


def stopping() -> bool:
    """Whether the worker that this process belongs to has been asked to stop."""
    return (
        _flags[_STOPPING] == 1 or _is_asked(state.should_stop) or _is_asked(state.should_terminate)
    )


def _is_asked(status: Any) -> bool:
    return status is not None and status is not False  # an exit status: 0 is a stop as well


def count_connection() -> None:
    """The worker has connected to its broker, or has lost the connection."""
    _flags[_CONNECTIONS] = (_flags[_CONNECTIONS] + 1) % 256


def connection_epoch() -> int:
    """Return a number that changes whenever the worker connects to its broker anew."""
    return _flags[_CONNECTIONS]


def follow_events(dispatcher: Any) -> None:
    """Send events from now on if the worker's dispatcher sends those of tasks, else none.

    Flower and `celery control enable_events` switch them on in a worker that runs.
    """
    groups = getattr(dispatcher, "groups", None)
    enabled = getattr(dispatcher, "enabled", False)
    send_events(bool(enabled and (not groups or "task" in groups)))


def send_events(are_sent: bool) -> None:
    """Send events from now on, or none."""
    _flags[_EVENTS] = are_sent


def sends_events() -> bool:
    """Whether the worker sends the events of tasks at this moment."""
    return _flags[_EVENTS] == 1
