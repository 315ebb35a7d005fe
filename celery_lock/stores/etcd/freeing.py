"""What ends a lease without its proof: its holder is dead, or its claim is to be undone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...model import Claim, Held
from .. import transitions
from .names import nonce, undone_name
from .place import Call, LeaseGone, Place, view_of, whole
from .releasing import MARKED_FOR
from .txn import TXN, delete, made_at, nothing_since, put, read_range, txn
from .view import Entry, View, nonce_of, slot_of, state_of

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
    return replace(held, mark=view.mark)


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
        slots = {permit.slot for permit in after.permits if permit != before[permit.slot]}
        compare, writes = _freed(call, base, view, slots, floor=floor)
        try:
            if call.ask(TXN, txn(compare, writes)).get("succeeded"):
                return None if had is None else _marked(had, view)
        except LeaseGone:
            call.leases.all_gone()


def _freed(
    call: Call, base: bytes, view: View, slots: set[int], *, floor: bool
) -> tuple[list[Words], list[Words]]:
    """Return what has to be so, and what ends the leases of these slots, and their floors."""
    compare, writes = list[Words](), list[Words]()
    ended = {name[1:] for name, _ in view.of("r")}
    for kind in "lf" if floor else "l":
        for place_, entry in view.of(kind):
            name = nonce_of(place_).rstrip("+")
            if slot_of(place_) not in slots:
                continue
            compare += [made_at(entry.name, entry.made)] if kind == "l" else []
            writes.append(delete(entry.name))
            if name not in ended:
                ended.add(name)
                writes += _marked_as(call, base, slot_of(place_), name, "freed")
    return compare, writes


def undo(place: Place, claim: Claim) -> None:
    """Take back a claim whose answer is not known, and refuse it should it still arrive.

    First it is refused from now on: what is seen then is all that it can ever have written.
    """
    call, base = place.call(), place.names.key(claim.key)
    mark = base + undone_name(claim.holder).encode()
    while True:
        try:
            refused = call.kept(max(2.0, place.cluster.deadline), 2.0)
            words = [put(mark, {"h": claim.holder, "d": place.cluster.deadline}, refused)]
            answer = call.ask(TXN, txn([], [*words, read_range(base)]))
            view = view_of(answer, answer["responses"][1], base)
            compare, writes = _undone(call, base, view, claim)
            if not writes or call.ask(TXN, txn(compare, writes)).get("succeeded"):
                return
        except LeaseGone:
            call.leases.all_gone()


def _undone(call: Call, base: bytes, view: View, claim: Claim) -> tuple[list[Words], list[Words]]:
    """Return what has to be so, and what takes back all that a claim has written."""
    compare, writes = list[Words](), list[Words]()
    for place_, entry in view.of("l"):
        if entry.value["h"] == claim.holder:
            compare.append(made_at(entry.name, entry.made))
            writes.append(delete(entry.name))
            writes += _marked_as(call, base, slot_of(place_), nonce_of(place_), "undone")
            call.leases.forget(entry.name)
    if not compare:  # it has lapsed: only where nobody else comes is its heir given the key back
        compare.append(nothing_since(base + b"f", base + b"m", view.revision))
    writes += _given_back(base, view, claim)
    writes += [delete(name) for name in _floors_of(view, claim)]
    return compare, writes


def _marked_as(call: Call, base: bytes, slot: int, name: str, how: str) -> list[Words]:
    """Remember of a lease that its release is not to say that it was in time."""
    lease = call.kept(MARKED_FOR, MARKED_FOR)
    mark = put(base + f"r-{name}".encode(), {"k": how, "n": slot}, lease)
    return [delete(base + f"a-{name}".encode()), mark]


def _given_back(base: bytes, view: View, claim: Claim) -> list[Words]:
    """Give a lease back to the heir that it was taken over from, for the rest of its time.

    Also where the claim has lapsed meanwhile, unless somebody else has come.
    """
    writes = []
    for _, entry in view.of("a"):
        slot = entry.value["slot"]
        if entry.value["by"] == claim.holder and not _came_after(view, slot, entry):
            heir = {key: value for key, value in entry.value.items() if key not in ("by", "slot")}
            writes.append(delete(entry.name))
            writes.append(put(base + f"l{slot}-{nonce()}".encode(), heir, entry.lease))
    return writes


def _floors_of(view: View, claim: Claim) -> list[bytes]:
    """Name the floors that a claim has set; those of an earlier claim stand as they did."""
    ends = {name[1:] for name, _ in view.of("r")}
    live = {nonce_of(place_) for place_, one in view.of("l") if one.value["h"] == claim.holder}
    floors = {
        entry.name: (nonce_of(place_).rstrip("+"), entry.made)
        for place_, entry in view.of("f")
        if entry.value["h"] == claim.holder
    }
    open_ = {name: made for name, made in floors.values() if name not in ends}
    last = live or set(sorted(open_, key=lambda name: open_[name])[-1:])
    return [name for name, (nonce_, _) in floors.items() if nonce_ in last]


def _came_after(view: View, slot: int, aside: Entry) -> bool:
    """Somebody has had this permit since the claim took it over."""
    here = [entry for place_, entry in view.of("l") if slot_of(place_) == slot]
    gone = [entry for _, entry in view.of("r") if entry.value["n"] == slot]
    return any(entry.made > aside.made for entry in here + gone)
