"""Scenarios without a worker: beats of several kinds at the same time, and what each published."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.beats.beats import Beats
from tests.beats.book import read
from tests.beats.database import make_database
from tests.beats.entries import GRID, Entry
from tests.beats.history import Span
from tests.beats.kinds import KINDS
from tests.beats.standstill import watched
from tests.services import RedisServer

__all__ = ["DATABASE_FILE", "Scenario", "Sent", "scenario_of"]

DATABASE_FILE = "schedule.sqlite3"
"""In the folder of the kind, if it needs one."""


@dataclass(frozen=True)
class Sent:
    """What a beat published."""

    due: float
    begun: float
    """When the beat began to publish it, and then the broker had it."""
    at: float
    task_id: str
    beat: str


class Scenario:
    """One scenario, for several schedulers at the same time."""

    def __init__(self, beats: Mapping[str, Beats], stills: Sequence[Span]) -> None:
        self.beats = beats
        self.marks: dict[str, float] = {}
        self.stills = stills
        """When the machine stood still."""

    def mark(self, name: str) -> None:
        """Name this moment."""
        self.marks[name] = time.time()

    @property
    def still(self) -> float:
        """Seconds for which the machine stood still."""
        return sum(span.end - span.start for span in self.stills)

    def stood_still(self, start: float, end: float) -> bool:
        """Whether the machine stood still at some time in between."""
        return any(span.start <= end and start <= span.end for span in self.stills)

    def sent(self, kind: str, entry: str, first: str = "", last: str = "") -> list[Sent]:
        """What was published of an entry between two moments, in order."""
        book = read(self.beats[kind].book)
        begun = {line["task_id"]: line["at"] for line in book if line["what"] == "publishing"}
        return sorted(
            (
                Sent(
                    line["due"] or line["at"],
                    begun.get(line["task_id"], line["at"]),
                    line["at"],
                    line["task_id"],
                    line["beat"],
                )
                for line in book
                if line["what"] == "published" and line["entry"] == entry
                if self.marks.get(first, 0.0) <= line["at"] <= self.marks.get(last, line["at"])
            ),
            key=lambda sent: sent.at,
        )

    def each(self) -> Iterator[Beats]:
        """Those of each kind."""
        yield from self.beats.values()


@contextmanager
def scenario_of(
    server: RedisServer, folder: Path, kinds: Sequence[str], entries: Sequence[Entry]
) -> Iterator[Scenario]:
    """Beats of these kinds, none of them started, each with databases of its own."""
    made = {}
    for number, kind in enumerate(kinds):
        home = folder / kind
        home.mkdir()
        database = home / DATABASE_FILE if KINDS[kind].database else None
        rows = [entry for entry in entries if entry is not GRID] if database else entries
        if database:
            make_database(database, rows)
        made[kind] = Beats(
            KINDS[kind],
            home,
            store=server.url_for(2 * number),
            broker=server.url_for(2 * number + 1),
            entries=rows,
            database=database,
        )
    try:
        with watched() as stills:
            yield Scenario(made, stills)
    finally:
        for beats in made.values():
            beats.kill()
