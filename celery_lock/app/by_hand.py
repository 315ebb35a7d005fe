"""A lease that is ended by hand: its holder hears of it, and of whose hand it was."""

from __future__ import annotations

from ..engine.takers import note_taker
from ..model import Held, LockStore

__all__ = ["free_by"]


def free_by(store: LockStore, held: Held, by: str) -> Held | None:
    """End the lease of a holder and its `at_least`, and let it know by whom."""
    note_taker(store, held, by)
    return store.free(held.key, held.holder, floor=True)
