"""What a run of the benchmarks found: sections of rows, kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .arithmetic import Spread, ratios, spread

__all__ = ["FILE", "Cell", "Results", "Row", "Section", "column"]

FILE = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Cell:
    """One number: what came out, and how many times the base row's."""

    value: Spread
    ratio: Spread | None = None


@dataclass(frozen=True)
class Row:
    """One contender, or one size."""

    name: str
    cells: Mapping[str, Cell]
    """By the column's title, which has its unit."""


@dataclass(frozen=True)
class Section:
    """Rows that were measured together."""

    name: str
    title: str
    about: str
    """What was done, and what a reader should know of it."""
    base: str
    """The row to which the ratios are."""
    rows: Sequence[Row]

    def row(self, name: str) -> Row:
        """Return the row of that name. Raises `KeyError`."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"section {self.name} has no row {name!r}")


@dataclass(frozen=True)
class Results:
    """One run, on one machine."""

    machine: Mapping[str, str]
    sections: Sequence[Section] = field(default_factory=tuple)

    def section(self, name: str) -> Section:
        """Return the section of that name. Raises `KeyError`."""
        for section in self.sections:
            if section.name == name:
                return section
        raise KeyError(f"there is no section {name!r}")

    def with_sections(self, other: Results) -> Results:
        """Return this run with the sections of another one in the place of its own."""
        new = {section.name: section for section in other.sections}
        kept = [new.pop(section.name, section) for section in self.sections]
        return Results({**self.machine, **other.machine}, [*kept, *new.values()])

    def write(self, file: Path = FILE) -> None:
        """Write the JSON form."""
        text = json.dumps(asdict(self), indent=1, default=list)
        file.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path = FILE) -> Results:
        """Read what `write` wrote."""
        raw = json.loads(file.read_text(encoding="utf-8"))
        return cls(raw["machine"], [_section(each) for each in raw["sections"]])


def column(
    series: Mapping[str, Sequence[float]], base: str | None, *, scale: float = 1.0
) -> dict[str, Cell]:
    """Return a cell for each series: its values times `scale`, and its ratios to the base's."""
    to_base = {} if base is None else ratios(series, base)
    return {
        name: Cell(
            spread([value * scale for value in values]),
            spread(to_base[name]) if name in to_base else None,
        )
        for name, values in series.items()
    }


def _section(raw: Any) -> Section:
    rows = [
        Row(row["name"], {title: _cell(cell) for title, cell in row["cells"].items()})
        for row in raw["rows"]
    ]
    return Section(raw["name"], raw["title"], raw["about"], raw["base"], rows)


def _cell(raw: Any) -> Cell:
    ratio = raw["ratio"]
    return Cell(Spread(**raw["value"]), None if ratio is None else Spread(**ratio))
