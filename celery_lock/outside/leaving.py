"""How the block of a hold is left, and who keeps its entry until then."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol

from .taking import Entry

__all__ = ["Exit", "Left", "awaited", "leave"]

_looked_up: ContextVar[weakref.ref[Leaver] | None] = ContextVar("celery_lock_leaver", default=None)


class Left(Protocol):
    """A hold, as far as the end of a block asks it."""

    def leave(self, entry: Entry | None, kind: type[BaseException] | None) -> None:
        """Leave an entry, or the last one that was entered here."""


class Leaver:
    """What a `with` calls at the end of its block.

    The interpreter looks it up before it enters the block, keeps it while the block runs, and
    drops it however the block ends. So it keeps the entry: what falls in between the grant and
    the block, or between the block and this call, ends the entry too, though the hold itself may
    stand in a module.
    """

    __slots__ = ("__weakref__", "entry", "held")

    def __init__(self, held: Left) -> None:
        self.held = held
        self.entry: Entry | None = None

    def __call__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.held.leave(self.entry, kind)


class Exit:
    """`__exit__` of a hold: another one for each `with`."""

    def __get__(self, held: Left | None, owner: type[Left]) -> Any:
        if held is None:  # asked of the class, as an ExitStack does: it gives the hold itself
            return _exit
        leaver = Leaver(held)
        _looked_up.set(weakref.ref(leaver))
        return leaver


def _exit(
    held: Left,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> None:
    held.leave(None, kind)


def awaited(held: Left) -> Leaver | None:
    """Return what the `with` that is entering here will call; `None`: it is no `with`."""
    ref = _looked_up.get()
    leaver = None if ref is None else ref()
    return leaver if leaver is not None and leaver.held is held and leaver.entry is None else None


def leave(entry: Entry, kind: type[BaseException] | None) -> None:
    """Leave an entry; what falls into that falls in once."""
    try:
        # an abandoned generator is ended by the collector of garbage, at any step of any
        # thread, perhaps of one that has the very lock that a release needs
        entry.leave(later=kind is not None and issubclass(kind, GeneratorExit))
    except BaseException:  # a signal, or the time limit of a greenlet
        entry.leave()
        raise
