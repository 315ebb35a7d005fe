"""Records over entries that are read and written in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import Change, Changed, Record
from . import entries
from .key_state import Interval
from .stepping import Entry, Stepping

__all__ = ["SteppedRecords"]


class SteppedRecords(Stepping):
    """All of a store that a schedule needs."""

    def change(self, change: Change) -> Changed:
        """Write a record if it is as expected, and say how it stands."""
        name = self._names.record(change.space, change.name)
        index = self._names.index(change.space, change.name)

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[Changed, Mapping[str, Entry]]:
            standing = entries.read_record(texts[0], clock)
            after, answer = entries.change(standing, change, clock)
            if after is None:
                return answer, {}
            known = entries.read_index(texts[1], clock) | {change.name: after.until}
            return answer, {
                name: Entry(entries.write_record(after), after.until),
                index: Entry(entries.write_index(known), max(known.values())),
            }

        return self.step([name, index], move, self.deadline)

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        """Return these records in this order, and the time."""

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[tuple[list[Record | None], float], Mapping[str, Entry]]:
            by_name = dict(zip(unique, texts, strict=True))
            standing = [entries.read_record(by_name[name], clock) for name in names]
            found = [None if one is None else one.record for one in standing]
            return (found, clock[1] / 1e6), {}

        unique = list(dict.fromkeys(names))
        entry_names = [self._names.record(space, name) for name in unique]
        return self.step(entry_names, move, self.deadline)

    def names(self, space: str) -> list[str]:
        """Name all records of a space that are alive."""

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[list[str], Mapping[str, Entry]]:
            return sorted(name for text in texts for name in entries.read_index(text, clock)), {}

        return self.step(self._names.indexes(space), move, self.deadline)
