"""Celery's receiver of events, which knows the names that our events had before.

A monitor takes the last `task-*` event of a task for its state, so our events form a group of their
own, `lock-*`, which monitors leave alone. Programs of the app that were written for
`task-lock-acquired` and the like go on working.
"""

from __future__ import annotations

from typing import Any

from celery.events.receiver import EventReceiver

from ..events.table import TABLE

__all__ = ["LockEventReceiver"]


class _EarlierName(str):
    """The name of an event as it was before. Celery's `State` asks a name for its group."""

    __slots__ = ()

    def partition(self, sep: str, /) -> tuple[str, str, str]:
        """Say that its group is `lock`: one that makes no state of a task."""
        return str(self).removeprefix("task-").partition(sep)


_EARLIER = {row.event: _EarlierName(f"task-{row.event}") for row in TABLE}


class LockEventReceiver(EventReceiver):
    """Hands each event of ours to the handler of its name, else under the name that it had."""

    def event_from_message(self, body: Any, *args: Any, **options: Any) -> Any:
        """Return the name and the event, as Celery's own does."""
        name, event = super().event_from_message(body, *args, **options)
        if name in _EARLIER and name not in self.handlers:
            name = event["type"] = _EARLIER[name]
        return name, event
