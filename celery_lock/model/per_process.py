"""A value that belongs to one process: a child that was forked gets its own."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["PerProcess"]

T = TypeVar("T")

_all: weakref.WeakSet[PerProcess[Any]] = weakref.WeakSet()
_parents: list[object] = []
"""Values of the processes before this one: not used, and not collected either."""


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
    """

    value: T
    """This process's own. Made as it is first asked for; from then on an attribute like others,
    since a run of a task asks for a dozen of them."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        _all.add(self)

    def __getattr__(self, name: str) -> T:
        # asked only for what is not there
        if name != "value":
            raise AttributeError(name)
        made = self._make()
        return self.__dict__.setdefault("value", made)  # type: ignore[no-any-return]  # atomic

    def drop(self) -> T | None:
        """Take this process's own value away, if it has one; the next use makes another."""
        value: T | None = self.__dict__.pop("value", None)
        return value


def _begin_anew() -> None:
    for each in list(_all):
        value = each.drop()
        if value is not None:
            _parents.append(value)


if hasattr(os, "register_at_fork"):  # Windows has neither this nor forks
    os.register_at_fork(after_in_child=_begin_anew)
