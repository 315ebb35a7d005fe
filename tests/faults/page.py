"""Writes docs/fault-matrix.md from what was played."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from tests.faults.actor import TTL as STORE_TTL
from tests.faults.broker_play import BrokerOutcome, Twin
from tests.faults.broker_rows import TWINS, BrokerRow
from tests.faults.redelivery import Played
from tests.faults.rows import EXEMPT, LONG_TTL, TTL, Exempt, Row, rows, why_not
from tests.faults.scenario import SOON, Outcome
from tests.faults.scope_page import HEADING, section
from tests.faults.scope_play import ScopeOutcome
from tests.faults.store_play import StoreOutcome

__all__ = ["PAGE", "broker_cells", "cells_of", "page", "with_rows"]

PAGE = Path(__file__).parents[2] / "docs" / "fault-matrix.md"

HEAD = """# Fault matrix

This page shows what happens to a key when a task ends, or when its store fails.
Each row is one fault, played with real workers and real servers.
`ok`: the lock lost no task, the key was free in time, and nobody ran unnoticed beside a holder.
In time is {soon:g} s where Celery sees the end, and a second after the ttl where nobody sees it.
`make faults` plays all rows and writes this page; the numbers are those of the last run.

## How to read a row

A body takes its key, then the fault comes, and another task waits for the key.
A plain Celery task meets the same fault at the same time: its numbers stand in brackets.

- **Overlaps**: how many bodies of the key ran at the same time as another one. Nothing keeps two
  plain tasks apart. *After a known loss*: the holder was paused, and learned that its key was lost.
- **Lost**: tasks that were sent and that no run finished, and whose message is no longer in the
  broker. A time limit and a revoke stop a body, as they should. With early acks Celery forgets
  what a dead worker was running. With a lock no more tasks are lost than without one.
- **Seconds**: the time from the end of the body, or from the death of its process, until the key
  is free. The number after the plus is the time until Celery noticed the death: it looks every
  five seconds when nothing wakes it.

The ttl is {long:g} s where Celery sees the end, and {ttl:g} s where nobody sees it.
These rows were played with Celery {celery}, kombu {kombu} and redis-py {redis}.
"""


TAIL = """## Limits

- A body does not run exactly once. What a worker was running when it died runs again with acks
  late, and never with acks early.
- A holder that was paused past its lease goes on when it wakes. It learns that its key is lost;
  only the fencing token keeps its writes out.
- A rare race does not show here: each row is played once.
"""


def page(
    outcomes: Sequence[Outcome],
    redelivered: Sequence[Played],
    sent: Sequence[BrokerOutcome],
    store: Sequence[StoreOutcome],
    scopes: Sequence[ScopeOutcome],
) -> str:
    """The whole page."""
    versions = {name: version(name) for name in ("celery", "kombu", "redis")}
    parts = [HEAD.format(soon=SOON, long=LONG_TTL, ttl=TTL, **versions)]
    parts += ["## Endings", "", *_endings(outcomes), ""]
    parts += ["## What cannot happen", "", *_exempt(), ""]
    parts += ["## Redelivery", "", *_redelivery(redelivered), ""]
    parts += ["## Brokers", "", *_brokers(sent), ""]
    parts += [HEADING, "", *section(scopes), ""]
    parts += ["## The store, its server and the wire", "", *_store(store), "", TAIL]
    return "\n".join(parts)


def cells_of(row: Row) -> str:
    """How a row of the first table begins."""
    return f"| {row.ending.name} | {row.pool} | {row.acks.name} |"


def _endings(outcomes: Iterable[Outcome]) -> Iterator[str]:
    yield "| fault | pool | acks | overlaps | lost | seconds | verdict |"
    yield "|---|---|---|---|---|---|---|"
    by_row = {(o.row.ending.name, o.row.pool, o.row.acks.name): o for o in outcomes}
    for row in rows():
        one = by_row.get((row.ending.name, row.pool, row.acks.name))
        if one is None:
            continue
        excused = f", {len(one.locked.excused)} after a known loss" if one.locked.excused else ""
        yield (
            f"{cells_of(row)} {len(one.locked.overlaps)} ({len(one.plain.overlaps)}){excused}"
            f" | {len(one.locked.lost)} ({len(one.plain.lost)}) | {_seconds(one)} | {one.verdict} |"
        )


def _seconds(one: Outcome) -> str:
    if one.seconds is None:
        return "never"
    if one.unnoticed:
        return f"{max(0.0, one.seconds - one.unnoticed):.2f} + {one.unnoticed:.2f}"
    return f"{one.seconds:.2f}"


def _exempt() -> Iterator[str]:
    yield "| pool | acks | fault | why |"
    yield "|---|---|---|---|"
    for exempt in EXEMPT:
        if any(why_not(row) == exempt.why for row in rows()):
            yield f"| {' | '.join(_which(exempt))} | {exempt.why} |"


def _which(exempt: Exempt) -> list[str]:
    parts: tuple[tuple[str, ...], ...] = (exempt.pools, exempt.acks, exempt.endings)
    return [", ".join(names) or "any" for names in parts]


def _redelivery(played: Iterable[Played]) -> Iterator[str]:
    yield "The visibility timeout is 3 s and the body takes 11 s; two workers or more."
    yield ""
    yield "| what happens | runs that came to their end | overlaps | verdict |"
    yield "|---|---|---|---|"
    for one in played:
        judged = one.case.ends is not None
        verdict = ("; ".join(one.wrong) or "ok") if judged else "for comparison"
        ends = f"{one.ends} of {one.case.ends}" if judged else str(one.ends)
        yield (f"| {one.case.name} | {ends} | {len(one.found.overlaps)} | {verdict} |")


def broker_cells(row: BrokerRow) -> str:
    """How a row of the brokers' table begins."""
    return f"| {row.broker} | {row.acks} | {row.event} |"


def _brokers(played: Iterable[BrokerOutcome]) -> Iterator[str]:
    yield (
        "Eight messages of one key, whose body takes a quarter of a second, and four quick tasks of"
        " somebody else in the same queue, on a worker with two pool processes."
        " The same is done with a plain task (in brackets, first), and with a body that takes the"
        " key by SET NX and calls `self.retry(countdown=1)` where it is taken (second)."
        " A worker that ends is started again, as a supervisor does: a cut connection to SQS can"
        " end each worker, the plain one as well. Where a worker is killed, each of its two"
        " processes may lose its message with early acks, and run it once more with late ones."
    )
    yield ""
    yield "*Last*: seconds until the last of the eight ended."
    yield "*Beside*: the longest wait of a quick task."
    yield ""
    yield "| broker | acks | what happens | overlaps | lost | run twice | last | beside | verdict |"
    yield "|---|---|---|---|---|---|---|---|---|"
    yield from map(broker_line, played)


def broker_line(one: BrokerOutcome) -> str:
    """A row of the brokers' table."""
    locked, plain, nx = (one.twins[name] for name in TWINS)

    def cell(name: str, form: str = "d", twins: tuple[Twin, ...] = (locked, plain, nx)) -> str:
        mine, *others = (format(getattr(twin, name), form) for twin in twins)
        return f"{mine} ({', '.join(others)})"

    return (
        f"{broker_cells(one.row)} {cell('overlaps')} | {cell('lost')} | {cell('twice')} |"
        f" {cell('last', '.1f')} | {cell('beside', '.1f')} | {one.verdict} |"
    )


def with_rows(text: str, played: Iterable[BrokerOutcome]) -> str:
    """Return the page with these rows of the brokers' table as they were played last."""
    new = {broker_cells(one.row): broker_line(one) for one in played}
    lines = text.splitlines()
    for number, line in enumerate(lines):
        cells = "|".join(line.split("|")[:4]) + "|"
        lines[number] = new.get(cells, line)
    return "\n".join(lines) + "\n"


def _store(outcomes: Iterable[StoreOutcome]) -> Iterator[str]:
    yield (
        f"Here the ttl is {STORE_TTL:g} s. *Noticed*: a server that forgot a lease gave the key to"
        " the next one, and its holder learned of it with its next renewal, a third of the ttl"
        " later."
    )
    yield ""
    yield "| fault | overlaps | noticed | seconds | verdict |"
    yield "|---|---|---|---|---|"
    for one in outcomes:
        seconds = "" if one.seconds is None else f"{one.seconds:.2f}"
        yield (
            f"| {one.name} | {len(one.found.overlaps)} | {len(one.found.excused)} | {seconds} |"
            f" {one.verdict} |"
        )
