"""The section of docs/fault-matrix.md about publishers' leases and permits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.faults.scope_play import ScopeOutcome
from tests.faults.scope_rows import QUEUE_TTL, TTL, ScopeRow

__all__ = ["HEADING", "scope_cells", "section", "with_section"]

HEADING = "## Publishers and permits"


def scope_cells(row: ScopeRow) -> str:
    """How a row of the table begins."""
    return f"| {row.what} | {row.scope} | {row.acks} |"


def section(played: Iterable[ScopeOutcome]) -> Iterator[str]:
    """Yield the lines of the section, without its heading."""
    yield (
        "A publisher takes a key, a fault comes, and somebody publishes a second task for the same"
        f" key. The ttl is {TTL:g} s and the `queue_ttl` {QUEUE_TTL:g} s. The policy is `skip()`,"
        " so a duplicate is not sent. With `limit=3` six tasks or more want three permits."
    )
    yield ""
    yield (
        "*Lost*: tasks that were sent and that no run finished. One is lost with a plain task too"
        " where the message was acknowledged early, or purged."
    )
    yield (
        "*Free*: seconds from the fault until nobody has the key. Where nobody can see that a"
        " message is gone, its key is free when its `queue_ttl` has passed."
    )
    yield ""
    yield "| what happens | scope | acks | lost | free | verdict |"
    yield "|---|---|---|---|---|---|"
    for one in played:
        yield f"{scope_cells(one.row)} {one.lost} | {one.seconds:.1f} | {one.verdict} |"


def with_section(text: str, played: Iterable[ScopeOutcome]) -> str:
    """Return the page with this section in the place of its old one."""
    head, found, rest = text.partition(f"{HEADING}\n")
    if found:
        rest = rest[rest.index("\n## ") + 1 :]
    else:
        before = "## The store, its server and the wire\n"
        head, _, rest = text.partition(before)
        rest = before + rest
    return head + "\n".join([HEADING, "", *section(played), "", ""]) + rest
