"""A mutex within one process, which no time limit leaves taken."""

from __future__ import annotations

import _thread
import sys
import threading
from typing import Any

__all__ = ["Mutex", "new_mutex", "take"]


def take(mutex: Any, patience: float = -1) -> bool:
    """Take a mutex otherwise than by `with`; `False`: it was not free for so many seconds.

    A call of `acquire` can take it and raise all the same, for a time limit that came meanwhile.
    No error falls between the end of this function and a `try` that follows it.
    """
    try:
        return bool(mutex.acquire(timeout=patience))
    except BaseException:
        if mutex._is_owned():
            mutex.release()
        raise


class Mutex(_thread.RLock):  # type: ignore[misc]  # (final for typeshed alone)
    """A lock within one process that is taken by `with`, or by `take`.

    A soft time limit and an interrupt raise in a task's thread, wherever it is. Up to Python 3.13
    a `with` lets none of them fall between the taking of a lock that is written in C and the block;
    from 3.14 on it does. The lock would stay taken, and the process would hang at its next use. A
    `threading.Condition`, which is written in Python, has that gap in each release: so a condition
    is made over a mutex, and the mutex is what `with` takes.
    """

    if sys.version_info >= (3, 14):
        __enter__ = take


def new_mutex() -> Any:
    """Return a mutex for the threads, or greenlets, of this process.

    Where gevent has put its own locks in the place of Python's it is one of those: its time limits
    come where a greenlet waits, and nowhere else.
    """
    if type(threading.Lock()).__module__ != "_thread":
        return threading.RLock()
    return Mutex()
