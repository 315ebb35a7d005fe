"""Records in the memory of one process: what every other store has to do with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..model import Change, Changed, Record

__all__ = ["Records"]


class Records:
    """The records of one space of memory stores, whose lock the caller has.

    `now` is in microseconds since 1970. Records of different prefixes do not meet.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    def __len__(self) -> int:
        """How many take up memory, live or not."""
        return len(self._kept)

    def change(self, prefix: str, change: Change, now: int) -> Changed:
        """Write a record if it is as expected, and say how it stands."""
        place = prefix, change.space, change.name
        record = self._live(place, now)
        stamp = None if record is None else record.stamp
        until = now + round(change.keep * 1e6)
        if record is not None and (stamp, record.value) == (change.stamp, change.value):
            until = max(until, self._kept[place].until)  # asked again: its answer was lost
        elif stamp != change.expected or now < round(change.not_before * 1e6):
            return Changed(False, record, now / 1e6)
        else:
            record = Record(change.stamp, change.value, now / 1e6)
        if place not in self._kept and len(self._kept) % 1024 == 1023:
            self._forget(now)
        self._kept[place] = _Kept(record, until)
        return Changed(True, record, now / 1e6)

    def records(
        self, prefix: str, space: str, names: Sequence[str], now: int
    ) -> list[Record | None]:
        """Return the live ones of these, in this order."""
        return [self._live((prefix, space, name), now) for name in names]

    def names(self, prefix: str, space: str, now: int) -> list[str]:
        """Name all that are alive, in order."""
        self._forget(now)
        return sorted(place[2] for place in self._kept if place[:2] == (prefix, space))

    def _live(self, place: tuple[str, str, str], now: int) -> Record | None:
        kept = self._kept.get(place)
        return kept.record if kept is not None and kept.until > now else None

    def _forget(self, now: int) -> None:
        for place in [place for place, kept in self._kept.items() if kept.until <= now]:
            self._kept.pop(place)


@dataclass
class _Kept:
    record: Record
    until: int
