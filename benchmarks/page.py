"""The page of numbers in the documentation, written from the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from .arithmetic import Spread
from .results import Cell, Results, Section
from .targets import Verdict, verdicts

__all__ = ["FILE", "markdown", "page", "table", "targets_table", "write"]

FILE = Path(__file__).parents[1] / "docs" / "reference" / "numbers.md"

_HEAD = """\
# Benchmarks

`make bench` prints these on any machine with a Redis or Valkey server, and writes this page.

Each section was measured in one run, all of them on one machine. Each round measured a little of
every row, in another order. A number is the median of the rounds. The brackets leave out the lowest
and the highest tenth. A ratio is taken in each round. Read the ratios: on another machine they
change less than the times do.

An empty task is the worst case: any work in the task makes the share of the lock smaller.

Measured on {processor} ({system}), Python {python}, {server}, {packages}.
"""

_TAIL = """\
What is behind, and why:

- **A publish that takes a key** waits for the answer of the store before it sends, and gives the
  store a second command behind it. So a caller learns of a duplicate, and a message that was never
  sent keeps nobody out.
- **The processor time of a task.** A run makes two round trips and some 140 calls of functions in
  this package: the key, the counters, the renewal, the copies, the log. A lock in the body has the
  round trips alone.
- **Two PINGs** run no script in the server.
- **etcd** writes each step to its disk. A lock here takes two steps, and etcd3gw's three: so the
  disk alone is two thirds of theirs, and the rest is less.
- **A hand-off on ZooKeeper.** Who waits for kazoo's lock stands in a queue in the store, and has it
  as the one before goes. Here a waiter is woken, and claims then.

## Limits

- No network was measured. The server was on the same machine, and your network adds its own time to
  each round trip, of this library and of the others.
- The libraries promise different things. A lock that is not renewed, or is freed without proof, has
  less to do.
- Your tasks and machines are different. Run `make bench` on the machine that you will use.
"""

_MEASURED_BY = ("processor", "system", "python", "server")


def write(results: Results, file: Path = FILE) -> None:
    """Write the page."""
    file.write_text(page(results), encoding="utf-8")


def page(results: Results) -> str:
    """Return the whole page."""
    machine = results.machine
    packages = ", ".join(f"{k} {v}" for k, v in machine.items() if k not in _MEASURED_BY)
    parts = [_HEAD.format(**machine, packages=packages)]
    for section in results.sections:
        parts.append(f"## {section.title}\n\n{section.about}\n\n{table(section)}\n")
    parts.append(f"## Targets\n\nBy the medians.\n\n{targets_table(verdicts(results))}\n")
    parts.append(_TAIL)
    return "\n".join(parts)


def table(section: Section) -> str:
    """Return a section's rows."""
    titles = list(section.rows[0].cells)
    head, lines = [""], []
    for title in titles:
        head.append(title)
        if section.rows[0].cells[title].ratio is not None:
            head.append("ratio")
    for row in section.rows:
        texts = [row.name]
        for title in titles:
            texts += _texts(row.cells[title])
        lines.append(texts)
    return markdown(head, lines)


def targets_table(judged: Sequence[Verdict]) -> str:
    """Return the targets and what was found."""
    rows = []
    for each in judged:
        said, _, limit = each.target.rpartition(": ")
        where, _, what = said.rpartition(": ")  # a cell has a few words
        rows.append(
            [what, where, limit, f"{each.found:.3g}", "met" if each.met else "missed"],
        )
    return markdown(["what", "where", "target", "found", ""], rows)


def _texts(cell: Cell) -> list[str]:
    texts = [_spread(cell.value, _number)]
    if cell.ratio is not None:
        texts.append(_spread(cell.ratio, lambda value: f"{value:,.2f}"))
    return texts


def _spread(found: Spread, write: Callable[[float], str]) -> str:
    middle, low, high = map(write, (found.median, found.low, found.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def _number(value: float) -> str:
    """Write three figures or so."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table; all columns but the first one hold numbers."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))
