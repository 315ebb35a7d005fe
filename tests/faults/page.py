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
from tests.faults.store_play import StoreOutcome

__all__ = ["PAGE", "broker_cells", "cells_of", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "fault-matrix.md"

HEAD = """# Fault matrix

However a task ends, its lock ends with it.
`make faults` plays every row with real workers and real servers, and writes this page: it is the
record of the last run.

A body takes its key, the fault comes, and another task waits for the key.
The same is done with a plain Celery task at the same time: its numbers stand in brackets.

- **Overlaps**: bodies of the key that were inside at once. With a plain task nothing keeps the
  next one out.
- **Lost**: tasks that were sent, that no run brought to its own end, and of which the broker has
  no message any more. A limit and a revoke cut a body short, which is what they are for; acks
  early forgets what a dead worker was running. With a lock no more is lost than without.
- **Seconds**: from the end of the body, or the death of its process, until the key is free. What
  stands after the plus passed before Celery noticed the death: it looks every five seconds when
  nothing wakes it.

Where Celery sees the end, the key is free within {soon:g} s of it, though its ttl is {long:g} s.
Where nobody sees it, the key is free when its ttl ({ttl:g} s here) has passed, and a second later
at most.

Played with Celery {celery}, kombu {kombu}, redis-py {redis}.
"""


TAIL = """## This does not ...

- make a body run exactly once: what a worker was at when it died runs again with acks late, and
  never with acks early.
- stop a holder that was paused past its lease. It is told; only the fencing token keeps it out.
- show a rare race. Each row is played once.
"""


def page(
    outcomes: Sequence[Outcome],
    redelivered: Sequence[Played],
    sent: Sequence[BrokerOutcome],
    store: Sequence[StoreOutcome],
) -> str:
    """The whole page."""
    versions = {name: version(name) for name in ("celery", "kombu", "redis")}
    parts = [HEAD.format(soon=SOON, long=LONG_TTL, ttl=TTL, **versions)]
    parts += ["## Endings", "", *_endings(outcomes), ""]
    parts += ["## What cannot happen", "", *_exempt(), ""]
    parts += ["## Redelivery", "", *_redelivery(redelivered), ""]
    parts += ["## Brokers", "", *_brokers(sent), ""]
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
        excused = f", {len(one.locked.excused)} after a told loss" if one.locked.excused else ""
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
    )
    yield ""
    yield "*Last*: seconds until the last of the eight ended."
    yield "*Beside*: the longest wait of a quick task."
    yield ""
    yield "| broker | acks | what happens | overlaps | lost | run twice | last | beside | verdict |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in played:
        locked, plain, nx = (one.twins[name] for name in TWINS)

        def cell(name: str, form: str = "d", twins: tuple[Twin, ...] = (locked, plain, nx)) -> str:
            mine, *others = (format(getattr(twin, name), form) for twin in twins)
            return f"{mine} ({', '.join(others)})"

        yield (
            f"{broker_cells(one.row)} {cell('overlaps')} | {cell('lost')} | {cell('twice')} |"
            f" {cell('last', '.1f')} | {cell('beside', '.1f')} | {one.verdict} |"
        )


def _store(outcomes: Iterable[StoreOutcome]) -> Iterator[str]:
    yield (
        f"Here the ttl is {STORE_TTL:g} s. *Told*: a server that forgot a lease gave the key to the"
        " next one, and its holder was told with its next renewal, a third of the ttl later."
    )
    yield ""
    yield "| fault | overlaps | told | seconds | verdict |"
    yield "|---|---|---|---|---|"
    for one in outcomes:
        seconds = "" if one.seconds is None else f"{one.seconds:.2f}"
        yield (
            f"| {one.name} | {len(one.found.overlaps)} | {len(one.found.excused)} | {seconds} |"
            f" {one.verdict} |"
        )
