"""What is seen of a key at one revision, and the state of the key that this amounts to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...errors import StoreError
from ...model import ENDED_FOR, Claim
from ..key_state import KeyState, Permit, micro
from ..tombstones import Tombstone, since
from .names import decoded

__all__ = [
    "NOTHING",
    "Entry",
    "Left",
    "View",
    "entries_of",
    "nonce_of",
    "slot_of",
    "state_of",
    "tombstone_of",
]


@dataclass(frozen=True)
class Entry:
    """One entry as it stands."""

    name: bytes
    value: Mapping[str, Any]
    made: int
    """At which revision it was made: of a lease, its token."""
    written: int
    """At which revision it was last written."""
    lease: int
    """The lease of etcd that it lives as long as."""


@dataclass(frozen=True)
class View:
    """All entries of a key, by what their names end with, at one revision.

    `l{slot}-{nonce}` is a lease, `f{slot}-{nonce}` a floor, `a-{nonce}` the heir whose lease it
    has taken over, `r-{nonce}` its end, `u-{digest}` an undone claim.
    """

    revision: int
    entries: Mapping[str, Entry]

    @property
    def mark(self) -> str:
        """The mark of this moment: the first revision after it."""
        return str(self.revision + 1)

    def of(self, kind: str) -> Iterator[tuple[str, Entry]]:
        """Return the entries of one kind, with the rest of their names."""
        for name, entry in self.entries.items():
            if name[0] == kind:
                yield name[1:], entry


NOTHING = View(0, {})
"""Of a key that nobody has used."""

Left = Callable[[Entry], float]
"""Says how many seconds an entry lives at least."""


def entries_of(answer: Mapping[str, Any], beginning: bytes) -> dict[str, Entry]:
    """Read the answer to a range, by the rest of the names."""
    found = {}
    for kv in answer.get("kvs", ()):
        name = decoded(kv["key"])
        found[name[len(beginning) :].decode("ascii")] = Entry(
            name,
            _value(kv),
            int(kv["create_revision"]),
            int(kv["mod_revision"]),
            int(kv.get("lease", 0)),
        )
    return found


def _value(kv: Mapping[str, Any]) -> Mapping[str, Any]:
    if "value" not in kv:  # only names were asked for
        return {}
    try:
        value: Mapping[str, Any] = json.loads(decoded(kv["value"]))
    except ValueError:
        raise StoreError(
            f"etcd keeps something else under the name of a lock ({decoded(kv['key'])!r}): give"
            " the locks a prefix of their own (lock_key_prefix)"
        ) from None
    return value


def slot_of(place: str) -> int:
    """Return the slot of `{slot}-{nonce}`."""
    return int(place.partition("-")[0])


def nonce_of(place: str) -> str:
    """Return the nonce of `{slot}-{nonce}`."""
    return place.partition("-")[2]


def state_of(view: View, now: int, left: Left) -> KeyState:
    """Return the state of the key: what is there lives, and for as long as `left` says."""
    permits: dict[int, Permit] = {}
    for place, entry in view.of("l"):
        slot, value = slot_of(place), entry.value
        aside = view.entries.get(f"a-{nonce_of(place)}")
        permits[slot] = Permit(
            slot,
            value["h"],
            entry.made,
            value["s"],
            now + micro(left(entry)),
            publication=value.get("p", ""),
            limit=value.get("n", 1),
            took_over=("", 0, "") if aside is None else _taken(aside, now, left),
            unconfirmed=value.get("u", False),
        )
    for place, entry in view.of("f"):
        slot, value = slot_of(place), entry.value
        dead = Permit(
            slot,
            value["h"],
            value.get("t", entry.made),
            value["s"],
            0,
            publication=value.get("p", ""),
            limit=value.get("n", 1),
            unconfirmed=value.get("u", False),
        )
        permit = permits.get(slot, dead)
        if permit.expiry == 0 and dead.token > permit.token:
            permit = replace(dead, floor=permit.floor)  # the last holder is the one that is shown
        floor = max(permit.floor, now + micro(left(entry)))
        permits[slot] = replace(permit, floor=floor)
    undone = tuple((entry.value["h"], now + 1) for _, entry in view.of("u"))
    slots = range(max(permits, default=-1) + 1)
    return KeyState(tuple(permits.get(at) or Permit(at, "", 0, 0, 0) for at in slots), undone)


def _taken(aside: Entry, now: int, left: Left) -> tuple[str, int, str]:
    return aside.value["h"], now + micro(left(aside)), aside.value.get("p", "")


def tombstone_of(
    entries: Mapping[str, Entry], claim: Claim, now: int, left: Left
) -> tuple[Tombstone | None, Claim]:
    """Return the record of a claim's publication, and the claim that is judged by it.

    Here the order of revisions decides whether a completion is of this message or of an older one.
    """
    if claim.copy_since is None:
        return None, claim
    first = since(claim.copy_since)
    told, ended = entries.get("d"), entries.get("e")
    done = told is not None and told.written >= first
    ends = 0
    if ended is not None and ended.written >= first:
        ends = now - micro(ENDED_FOR) + max(1, micro(min(left(ended), ENDED_FOR)))
    record = Tombstone(told=now if done else 0, ended=ends, met="m" in entries, until=now + 1)
    return record, replace(claim, copy_since="")
