"""A value that belongs to one process: a child that was forked gets its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerProcess"]

T = TypeVar("T")

_generation = 0
"""How many forks lie between this process and the one that imported this first. A number that a
fork counts on is at hand for half of what it costs to ask the system for the process's id."""


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
        self._own().take()

    Safe in threads: where several ask at once `make` may run in each of them, and all get the
    value of one. So `make` only makes, and what it has made begins nothing before its first use.
    A system that forks tells Python of it; one that does not has one process for each of these.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def __call__(self) -> T:
        """Return this process's own value."""
        try:
            return self._made[_generation]
        except KeyError:
            pass  # what `make` raises is not to be told as if it had come of this
        return self._made.setdefault(_generation, self._make())  # atomic: one of several wins

    def drop(self) -> T | None:
        """Take this process's own value away, if it has one; the next use makes another."""
        return self._made.pop(_generation, None)


def _count_on() -> None:
    global _generation
    _generation += 1


if hasattr(os, "register_at_fork"):  # Windows has neither this nor forks
    os.register_at_fork(after_in_child=_count_on)
