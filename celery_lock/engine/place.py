"""The place in which code runs: a thread, and in it an asyncio task or a greenlet."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any, NamedTuple

__all__ = ["Place", "here", "running_task"]


class _OfThread(threading.local):
    """What tells a thread from all others, those before it too: their numbers come again."""

    def __init__(self) -> None:
        self.mark = object()
        self.thread = weakref.ref(threading.current_thread())


_of_thread = _OfThread()


class Place(NamedTuple):
    """Code of one place runs in one order: what it holds is held until it has moved on."""

    mark: object
    """The thread's own."""
    thread: weakref.ref[threading.Thread]
    within: weakref.ref[Any] | None
    """The asyncio task; where there is none, the greenlet."""

    @property
    def is_of_main_thread(self) -> bool:
        """Its code runs in the main thread, or in a thread that has ended."""
        thread = self.thread()
        return thread is None or thread is threading.main_thread() or not thread.is_alive()


def here() -> Place:
    """Return the place of whoever calls this."""
    within = running_task() or _greenlet()
    return Place(
        _of_thread.mark, _of_thread.thread, None if within is None else weakref.ref(within)
    )


def running_task() -> Any:
    """Return the asyncio task that runs here; `None`: there is none."""
    if "asyncio" not in sys.modules:  # who has one has imported it
        return None
    asyncio = sys.modules["asyncio"]
    return None if asyncio._get_running_loop() is None else asyncio.current_task()


def _greenlet() -> Any:
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return None
    current = greenlet.getcurrent()
    # that of the thread itself is the thread: the module may be imported within a block
    return None if current.parent is None else current
