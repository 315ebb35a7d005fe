"""What ends a lease without its proof: its holder is dead, or its claim is to be undone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...model import Claim, Held
from .. import transitions
from .names import nonce, undone_name
from .place import Call, LeaseGone, Place, whole
from .releasing import MARKED_FOR
from .txn import TXN, delete, made_at, nothing_since, put, txn
from .view import Entry, View, state_of

__all__ = ["free", "peek", "undo"]

Words = dict[str, Any]


def peek(place: Place, key: str) -> Held | None:
    """Who has the key; `None`: it is free."""
    call = place.call()
    view = call.view(place.names.key(key))
    return _seen(call, view, key)


def _seen(call: Call, view: View, key: str) -> Held | None:
    taken = [entry for kind in "lf" for _, entry in view.of(kind)]
    if not taken:
        return None
    now, left = call.place.now(), call.lefts(taken)
    held = transitions.peek(state_of(view, now, left), key, (now, now))
    return None if held is None else _marked(held, view)


def _marked(held: Held, view: View) -> Held:
    return replace(held, mark=str(view.revision))


def free(place: Place, key: str, holder: str, *, floor: bool = False) -> Held | None:
    """End the lease of a holder that cannot give it back any more."""
    call, base = place.call(), place.names.key(key)
    while True:
        view, now = call.view(base), place.now()
        state = state_of(view, now, whole)
        after, had = transitions.free(state, key, holder, (now, now), floor=floor)
        if had is None:
            return None
        left = call.lefts(entry for kind in "lf" for _, entry in view.of(kind))
        _, had = transitions.free(state_of(view, now, left), key, holder, (now, now), floor=floor)
        before = {permit.slot: permit for permit in state.permits}
        compare, writes = [], list[Words]()
        for permit in after.permits:
            was = before[permit.slot]
            if permit == was:
                continue
            for place_, entry in view.of("l"):
                if entry.made == was.token and _slot(place_) == was.slot:
                    compare.append(made_at(entry.name, entry.made))
                    writes += _ended(call, base, place_, entry, "freed")
            if floor:
                writes += [
                    delete(entry.name)
                    for place_, entry in view.of("f")
                    if _slot(place_) == was.slot
                ]
        try:
            compare.append(nothing_since(base + b"f", base + b"m", view.revision))
            if call.ask(TXN, txn(compare, writes)).get("succeeded"):
                return None if had is None else _marked(had, view)
        except LeaseGone:
            call.leases.all_gone()


def undo(place: Place, claim: Claim) -> None:
    """Take back a claim whose answer is not known, and refuse it should it still arrive."""
    call, base = place.call(), place.names.key(claim.key)
    mark = base + undone_name(claim.holder).encode()
    while True:
        view = call.view(base)
        try:
            refused = call.kept(max(2.0, place.cluster.deadline), 2.0)
            compare = [nothing_since(base + b"f", base + b"m", view.revision)]
            writes = [put(mark, {"h": claim.holder}, refused)]
            for place_, entry in view.of("l"):
                if entry.value["h"] == claim.holder:
                    compare.append(made_at(entry.name, entry.made))
                    writes += _ended(call, base, place_, entry, "undone")
                    writes += _given_back(base, view, place_)
                    call.leases.forget(entry.name)
            for place_, entry in view.of("f"):
                if entry.value["h"] == claim.holder and _nonce(place_).rstrip("+") not in _ends(
                    view
                ):
                    writes.append(delete(entry.name))
            if call.ask(TXN, txn(compare, writes)).get("succeeded"):
                return
        except LeaseGone:
            call.leases.all_gone()


def _ended(call: Call, base: bytes, place_: str, entry: Entry, how: str) -> list[Words]:
    """Delete a lease, and remember that its release is not to say it was in time."""
    name, slot = _nonce(place_), _slot(place_)
    mark = {"k": how, "n": slot}
    aside = delete(base + f"a-{name}".encode())
    lease = call.kept(MARKED_FOR, MARKED_FOR)
    return [delete(entry.name), aside, put(base + f"r-{name}".encode(), mark, lease)]


def _given_back(base: bytes, view: View, place_: str) -> list[Words]:
    """Give a lease back to the heir that it was taken over from, for the rest of its time."""
    aside = view.entries.get(f"a-{_nonce(place_)}")
    if aside is None:
        return []
    return [put(base + f"l{_slot(place_)}-{nonce()}".encode(), aside.value, aside.lease)]


def _ends(view: View) -> set[str]:
    return {name[1:] for name, _ in view.of("r")}


def _slot(place_: str) -> int:
    return int(place_.partition("-")[0])


def _nonce(place_: str) -> str:
    return place_.partition("-")[2]
