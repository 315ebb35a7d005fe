"""What the entries of a stepped store say, as texts: states, tombstones, records, an index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import StoreError
from ..model import Change, Changed, Record
from .key_state import FREE, Interval, KeyState, Permit, micro
from .tombstones import Tombstone

__all__ = [
    "Standing",
    "change",
    "read_index",
    "read_record",
    "read_state",
    "read_tombstone",
    "write_index",
    "write_record",
    "write_state",
    "write_tombstone",
]

LAYOUT = 2
"""The layout of these texts. A text of another layout is of another release, and is not read."""

_USUAL = Permit(0, "", 0, 0, 0)
"""What a permit's text leaves out."""
_PERMIT = {field.name for field in fields(Permit)}


def read_state(text: str | None) -> KeyState:
    """Return the state of a key; raises `StoreError` for one that this release does not know."""
    if text is None:
        return FREE
    read = _read(text, {"v", "permits", "undone"})
    permits = []
    for slot, one in enumerate(read.get("permits", ())):
        if not set(one) <= _PERMIT:
            raise _unknown(set(one) - _PERMIT)
        pairs = {name: tuple(one[name]) for name in ("took_over", "released_before") if name in one}
        if "took_over" in pairs:  # the release before had two parts
            pairs["took_over"] = (*pairs["took_over"], "")[:3]
        permits.append(Permit(**{**vars(_USUAL), **one, **pairs, "slot": slot}))
    undone = tuple((str(holder), int(until)) for holder, until in read.get("undone", ()))
    return KeyState(tuple(permits), undone)


def write_state(state: KeyState) -> str:
    """Return the text of a state; what is as usual is left out."""
    permits = [
        {
            name: value
            for name, value in vars(permit).items()
            if name != "slot" and value != getattr(_USUAL, name)
        }
        for permit in state.permits
    ]
    return _write({"v": LAYOUT, "permits": permits, "undone": state.undone})


def read_tombstone(text: str | None, clock: Interval) -> Tombstone | None:
    """Return a tombstone; `None`: there is none, or its time is over."""
    if text is None:
        return None
    read = _read(text, {"v", "told", "ended", "met", "completed", "result_due", "until"})
    if read["until"] <= clock[0]:
        return None
    if "completed" in read:  # of the release before: without a result it was told at once
        when = "ended" if read["result_due"] else "told"
        return Tombstone(**{when: read["completed"]}, until=read["until"])
    return Tombstone(read["told"], read["ended"], read["met"], read["until"])


def write_tombstone(tombstone: Tombstone) -> str:
    """Return the text of a tombstone."""
    return _write({"v": LAYOUT, **asdict(tombstone)})


# -- records ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """A record as it stands, and until when it lives."""

    record: Record
    until: int


def change(
    standing: Standing | None, change: Change, clock: Interval
) -> tuple[Standing | None, Changed]:
    """Return what stands after the change, and the answer; `None`: nothing is to be written."""
    lo, hi = clock
    record = None if standing is None else standing.record
    # for no time: over at once, also by a clock that is known roughly
    until = hi + micro(change.ttl) if change.ttl else lo
    again = record is not None and (record.stamp, record.value) == (change.stamp, change.value)
    if standing is not None and again:  # asked again: its first answer was lost
        after = Standing(standing.record, max(standing.until, until))
        return after, Changed(True, standing.record, hi / 1e6)
    expected = None if record is None else record.stamp
    if expected != change.expected or lo < micro(change.not_before):
        return None, Changed(False, record, hi / 1e6)
    written = Record(change.stamp, change.value, hi / 1e6)
    return Standing(written, until), Changed(True, written, hi / 1e6)


def read_record(text: str | None, clock: Interval) -> Standing | None:
    """Return a record; `None`: there is none, or its time is over."""
    if text is None:
        return None
    read = _read(text, {"v", "stamp", "value", "written", "until"})
    if read["until"] <= clock[0]:
        return None
    return Standing(Record(read["stamp"], read["value"], read["written"]), read["until"])


def write_record(standing: Standing) -> str:
    """Return the text of a record."""
    return _write({"v": LAYOUT, **asdict(standing.record), "until": standing.until})


def read_index(text: str | None, clock: Interval) -> dict[str, int]:
    """Return the names of a space's records that are alive, each with when it ends."""
    if text is None:
        return {}
    known: dict[str, int] = _read(text, {"v", "names"})["names"]
    return {name: until for name, until in known.items() if until > clock[0]}


def write_index(names: Mapping[str, int]) -> str:
    """Return the text of an index."""
    return _write({"v": LAYOUT, "names": dict(names)})


# -- texts -----------------------------------------------------------------------------------


def _read(text: str, known: set[str]) -> Any:
    read = json.loads(text)
    if read.get("v") != LAYOUT or not set(read) <= known:
        raise _unknown(set(read) - known or {f"layout {read.get('v')}"})
    return read


def _write(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))  # ASCII, so that any place can keep it


def _unknown(marks: set[str]) -> StoreError:
    return StoreError(
        f"an entry has {', '.join(sorted(marks))}, which this release of celery_lock does not know:"
        " a newer one has written it; update this process"
    )
