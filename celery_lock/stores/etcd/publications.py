"""The records of publications: what was completed stays so, for as long as it is to be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...model import MET_FOR, Completion
from .place import Call, LeaseGone, Place, whole
from .txn import TXN, missing, put, read_range, seen_at, txn, within
from .view import Entry, entries_of

__all__ = ["complete"]

Words = dict[str, Any]

AT_ONCE = 100
"""How many one transaction completes at most: etcd allows 128 operations."""


@dataclass
class _Told:
    """A publication that is to be completed."""

    base: bytes
    life: float
    record: Mapping[str, Entry]

    def words(self, call: Call) -> Words:
        """Write it if the record is as it was seen; else see how it is."""
        seen = (self.record.get("d"), self.record.get("m"))
        life = max([self.life, *(MET_FOR for one in seen[1:] if one)])
        if seen[0] is not None:
            life = max(life, whole(seen[0]))  # it is known for as long as it was to be
        compare = [
            seen_at(self.base + b"d", seen[0].written) if seen[0] else missing(self.base + b"d"),
            seen_at(self.base + b"m", seen[1].written) if seen[1] else missing(self.base + b"m"),
        ]
        write = put(self.base + b"d", {"d": life}, call.kept(life, max(1.0, life / 8)))
        return within(txn(compare, [write], [read_range(self.base)]))


def complete(place: Place, completions: Sequence[Completion]) -> None:
    """Let these publications be completed from now on."""
    lives: dict[bytes, float] = {}
    for one in completions:
        name = place.names.publication(one.key, one.publication)
        lives[name] = max(one.remember, lives.get(name, 0.0))
    call = place.call()
    rest = [_Told(base, life, {}) for base, life in lives.items() if life > 0]
    while rest:
        some = rest[:AT_ONCE]
        try:
            answer = call.ask(TXN, txn([], [told.words(call) for told in some]))
        except LeaseGone:
            call.leases.all_gone()
            continue
        others = rest[AT_ONCE:]
        for told, each in zip(some, answer["responses"], strict=True):
            if not each["response_txn"].get("succeeded"):
                look = each["response_txn"]["responses"][0]["response_range"]
                told.record = entries_of(look, told.base)
                others.append(told)
        rest = others
