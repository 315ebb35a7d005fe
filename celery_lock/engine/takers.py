"""Who took keys away from their holders, as far as the store knows that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from secrets import token_hex

from ..errors import StoreError
from ..model import Change, Feature, Held, Holder, Lease, LockStore
from ..model.clock import Clock

__all__ = ["TAKEN_KNOWN_FOR", "note_taker", "takers"]

_SPACE = "taken"
"""The records of the keys that somebody took away, by the holder that lost them and the key: a
task with several locks has one holder for all of them."""

TAKEN_KNOWN_FOR = 3600.0
"""Seconds that such a record lives. Shorter: a holder that is paused for longer cannot say who took
its key. Longer: some 200 bytes for longer, for each key that is released by hand."""

_LOOKS_FOR = 0.5
"""Seconds after which the next lease is not looked up: each look is a call to the store, and the
holders are to hear of their losses. A store that was emptied has lost all leases at once."""


def note_taker(store: LockStore, held: Held, by: str) -> None:
    """Let the holder of a lease that is about to be ended know by whom, where the store can."""
    if held.live and Feature.RECORDS in store.features:
        with suppress(StoreError):  # it must not keep the key from being freed
            name = _name(held.holder, held.key)
            store.change(Change(_SPACE, name, None, token_hex(8), by, TAKEN_KNOWN_FOR))


def takers(store: LockStore, leases: Sequence[Lease], clock: Clock) -> dict[Lease, str]:
    """Return who took the keys of these leases, where that is known. Never raises."""
    known: dict[Lease, str] = {}
    until = clock() + _LOOKS_FOR
    with suppress(StoreError):
        if Feature.RECORDS in store.features:
            records, _ = store.records(_SPACE, [_name(one.holder, one.key) for one in leases])
            known = {
                lease: record.value
                for lease, record in zip(leases, records, strict=True)
                if record is not None
            }
        for lease in leases:
            if lease not in known and clock() < until:
                _note_holder(store.peek, lease, known)
    return known


def _name(holder: str, key: str) -> str:
    return f"{holder} {key}"


def _note_holder(peek: Callable[[str], Held | None], lease: Lease, known: dict[Lease, str]) -> None:
    held = peek(lease.key)
    if held is None:
        return
    # with several permits only who has this one now can have taken it
    slots = {one.slot: one.holder for one in held.holders}
    holder = slots.get(lease.slot) if slots else held.holder
    if holder is not None and holder != lease.holder:
        by = Holder.parse(holder)
        known[lease] = by.who if by.is_hold else f"task {by.task_id}"
