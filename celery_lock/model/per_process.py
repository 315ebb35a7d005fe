"""A value that belongs to one process: a child that was forked gets its own."""

from __future__ import annotations

import mmap
import os
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar, overload

from .mutex import new_mutex

__all__ = ["PerProcess", "look_for_fork", "this_process"]

T = TypeVar("T")

_WIPE_ON_FORK = 18
"""MADV_WIPEONFORK of Linux 4.14, which Python has no name for."""


def _wiped_by_a_fork() -> mmap.mmap | bytearray:
    """Return a byte that is 1, and 0 in a child, however that was forked.

    To read it takes no call to the system, as os.getpid() does. Where there is no such memory it
    is 1 for ever, and a fork is noticed only if Python knows of it.
    """
    byte: mmap.mmap | bytearray = bytearray(1)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # an old kernel; a Python without these names
            page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            page.madvise(_WIPE_ON_FORK)
            byte = page
    byte[0] = 1
    return byte


_not_forked = _wiped_by_a_fork()

_all: weakref.WeakSet[PerProcess[Any]] = weakref.WeakSet()
_locks: dict[int, Any] = {}
_parents: list[object] = []
"""Values of the processes before this one: not used, and not collected either."""


class _MadeAtFirst(Generic[T]):
    """The attribute `value` of a `PerProcess` that has none yet.

    It is no data descriptor, so what it puts into the instance is found without it from then on.
    A `__getattr__` of the class would do the same, but the interpreter has no quick way to any
    attribute of such a class.
    """

    @overload
    def __get__(self, instance: None, owner: type[object]) -> _MadeAtFirst[T]: ...

    @overload
    def __get__(self, instance: PerProcess[T], owner: type[object]) -> T: ...

    def __get__(self, instance: PerProcess[T] | None, owner: type[object]) -> T | _MadeAtFirst[T]:
        if instance is None:
            return self
        made = instance._make()
        return instance.__dict__.setdefault("value", made)  # type: ignore[no-any-return]  # atomic


class PerProcess(Generic[T]):
    """A value that each process makes for itself, as it first asks for it.

    A connection, a lock, a thread, a counter or a nonce is of no use to a child that was forked
    with it: the connection is still its parent's, the lock may be held by a thread that the child
    does not have, and two processes would count as one. So the child makes its own, and its
    parent's is left as it is: not used, and not collected either, for that could end a connection
    that the parent uses.

    What holds threads keeps them in such a value together with all that they share, the lock
    first of all: then a child begins with none of it.

        self._own = PerProcess(lambda: Pool(address))
        ...
        self._own.value.take()

    Safe in threads: where several ask at once `make` may run in each of them, and all get the
    value of one. So `make` only makes, and what it has made begins nothing before its first use.
    A system that forks tells Python of it; one that does not has one process for each of these.
    A server that forks in C, as uWSGI does, tells nobody: see `look_for_fork`.
    """

    value = _MadeAtFirst[T]()
    """This process's own. Made as it is first asked for; from then on an attribute like others,
    since a run of a task asks for a dozen of them."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        _all.add(self)

    def drop(self) -> T | None:
        """Take this process's own value away, if it has one; the next use makes another."""
        value: T | None = self.__dict__.pop("value", None)
        return value


this_process = PerProcess(object)
"""What tells this process from the ones that it forked, and from the one that it was forked from:
another object in each."""


def look_for_fork() -> None:
    """Start over where this process was forked without the knowledge of Python.

    Called by who is about to use a connection; all values of the process are dropped then, those
    that hold threads too.
    """
    if _not_forked[0]:
        return
    # a lock by the number of the process: no thread of its parent can have left it held
    with _locks.setdefault(os.getpid(), new_mutex()):
        if not _not_forked[0]:
            _begin_anew()


def _begin_anew() -> None:
    for each in list(_all):
        value = each.drop()
        if value is not None:
            _parents.append(value)
    _not_forked[0] = 1  # not before: who finds it so uses what is there


if hasattr(os, "register_at_fork"):  # Windows has neither this nor forks
    os.register_at_fork(after_in_child=_begin_anew)
