"""Writes docs/store-faults.md from the plays that were kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from tests.stores.kinds import kinds, rows_of, scheme_of
from tests.stores.results import kept
from tests.stores.rows import Row

__all__ = ["PAGE", "page", "write"]

PAGE = Path(__file__).parents[2] / "docs" / "store-faults.md"

HEAD = """# Faults of stores

This page shows what happens to locks when a server of the store fails under load.
Each row was played as often as it says, with real workers and real servers.
`ok`: in each play it was as the page of the store promises, and no task was lost.
`make stores` plays all rows and writes this page; the numbers are those of the last run.

## How to read a row

Two workers with four pool processes each run tasks that contend for ten keys. The broker is a
Redis of its own. Most bodies take half a second; three of ten take up to twice the ttl, which is
4 s. In the midst of it the fault comes. In the end every task has to be done.

- **Options**: the `lock_store_options` of the row.
- **Promised**: for how long two bodies of a key may run at the same time after this fault.
- **Overlaps**: how many pairs of bodies of one key ran at the same time, in all plays; and the
  longest time that they did. A body counts as gone from the moment at which `lease.lost` is true.
- **Tokens**: how many grants of a key had a fencing token that was not greater than the one before.
- **Quiet**: the longest time in which nobody got any key; the median of the plays, and the longest.
- **Back**: from the end of the fault to the next grant; the longest of the plays. The long bodies
  leave such gaps without a fault, too. For the verdict only the time counts in which the load had
  processes for further bodies.
- **Errors**: how many calls to the store failed in a play; the median.
"""

TAIL = """## Limits

- All servers and workers ran on one machine with two processors, over the loopback address.
- A rare race does not show in so few plays.
- A play that shows nothing of its row is played again. Its load had not begun before the fault, or
  had no process after it, or a busy machine had a primary replaced that the row leaves alone.
- The clocks of the servers did not differ, and no network was slow.
"""


def page() -> str:
    """The whole page, of all kinds that something was kept of."""
    parts = [HEAD]
    for kind in kinds():
        found = kept(kind)
        if found:
            parts += [f"## {scheme_of(kind)}://", "", *_table(kind, found), ""]
    return "\n".join([*parts, TAIL])


def write() -> None:
    """Bring the page up to date."""
    PAGE.write_text(page(), encoding="utf-8")


def _table(kind: str, found: dict[str, Any]) -> Iterator[str]:
    yield (
        "| fault | options | plays | promised | overlaps | tokens | quiet, s | back, s | errors |"
        " verdict |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    rows = rows_of(kind)
    has_tokens = any(row.promise.tokens for row in rows[2:])
    for row in rows:
        if row.name in found:
            yield _line(row, found[row.name]["plays"], has_tokens)


def _line(row: Row, plays: list[dict[str, Any]], has_tokens: bool) -> str:
    def total(field: str) -> int:
        return sum(one[field] for one in plays)

    worst = max(one["worst"] for one in plays)
    overlaps = f"{total('overlaps')}, {worst:.2f} s" if total("overlaps") else "0"
    tokens = str(total("backward")) if row.locked and has_tokens else "none"
    quiet = [one["quiet"] for one in plays]
    errors = median(sum(one["errors"].values()) for one in plays)
    wrong = [one for one in plays if one["wrong"]]
    verdict = f"{len(wrong)} of {len(plays)} were not as promised" if wrong else "ok"
    cells = [
        *(row.fault, f"`{row.said}`" if row.said else "", str(len(plays))),
        *(_promised(row), overlaps, tokens),
        *(f"{median(quiet):.1f}, {max(quiet):.1f}", f"{max(one['back'] for one in plays):.1f}"),
        *(f"{errors:g}", verdict),
    ]
    return f"| {' | '.join(cells)} |"


def _promised(row: Row) -> str:
    if not row.locked or row.promise.overlap is None:
        return "nothing"
    return f"at most {row.promise.overlap:.1f} s" if row.promise.overlap else "never"
