"""Small records that are compared and set; their times are those of whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...model import Change, Changed, Record
from ..entries import Standing
from ..entries import change as changed
from .names import decoded
from .place import LeaseGone, Place
from .txn import RANGE, TXN, delete, put, read, seen_at, txn
from .view import Entry, entries_of

__all__ = ["change", "names", "records"]

AT_ONCE = 120
"""How many records one request reads: etcd allows 128 operations."""


def change(place: Place, change: Change) -> Changed:
    """Write a record if it is as expected, and say how it stands."""
    call, name = place.call(), place.names.record(change.space, change.name)
    answer = call.ask(TXN, txn([], [read(name)]))
    while True:
        found = entries_of(answer["responses"][0]["response_range"], name).get("")
        now = place.now()
        after, said = changed(None if found is None else _standing(found), change, (now, now))
        if after is None:
            return said
        try:
            life = (after.until - now) / 1e6
            write = (
                put(name, _value(after, life), call.kept(life, max(1.0, life / 8)))
                if life > 0
                else delete(name)
            )
            compare = [seen_at(name, 0 if found is None else found.written)]
            answer = call.ask(TXN, txn(compare, [write], [read(name)]))
        except LeaseGone:
            call.leases.all_gone()
            continue
        if answer.get("succeeded"):
            return said


def records(place: Place, space: str, wanted: Sequence[str]) -> tuple[list[Record | None], float]:
    """Return these records in this order, as they stand at one revision, and the time."""
    call = place.call()
    unique = [place.names.record(space, name) for name in dict.fromkeys(wanted)]
    found: dict[bytes, Record] = {}
    revision: str | None = None
    for first in range(0, len(unique), AT_ONCE):
        some = unique[first : first + AT_ONCE]
        reads = [read(name) for name in some]
        for one in reads:
            if revision is not None:
                one["request_range"]["revision"] = revision
        answer = call.ask(TXN, txn([], reads))
        revision = revision or answer["header"]["revision"]
        for name, each in zip(some, answer["responses"], strict=True):
            entry = entries_of(each["response_range"], name).get("")
            if entry is not None:
                found[name] = _standing(entry).record
    if not unique:
        call.ask(RANGE, {**read(place.names.records(space))["request_range"], "count_only": True})
    return [found.get(place.names.record(space, name)) for name in wanted], place.now() / 1e6


def names(place: Place, space: str) -> list[str]:
    """Name all records of a space that are alive."""
    found = []
    for kv in place.call().names(place.names.records(space)):
        found.append(place.names.record_of(space, decoded(kv)))
    return sorted(found)


def _standing(entry: Entry) -> Standing:
    value = entry.value
    return Standing(Record(value["stamp"], value["value"], value["written"]), value["until"])


def _value(after: Standing, life: float) -> dict[str, Any]:
    record = after.record
    return {
        "stamp": record.stamp,
        "value": record.value,
        "written": record.written,
        "until": after.until,
        "d": life,
    }
