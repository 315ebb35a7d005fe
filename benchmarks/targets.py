"""What the numbers have to be, and whether they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import names
from .results import Cell, Results

__all__ = [
    "CYCLE",
    "CYCLE_OF_REDIS_PY",
    "GAP",
    "HELD",
    "NODE_TRIPS",
    "PERMITS",
    "PROCESSOR",
    "PUBLISHING",
    "STORES",
    "TAKING",
    "TWO_LOCKS",
    "WORKER",
    "Verdict",
    "verdicts",
]

CYCLE = 1.45
"""Of two raw PINGs, at most, with the whole engine."""
CYCLE_OF_REDIS_PY = 0.72
"""Of redis-py's Lock, at most."""
TWO_LOCKS = 1.6
"""Of the same cycle with one lock, at most."""
PERMITS = 1.3
"""Of a lock with one permit, at most, with ten of them."""
WORKER = 1.0
"""Of the throughput of a task whose body takes redis-py's Lock, at least."""
PROCESSOR = 0.6
"""Of the processor time that redis-py's Lock in the body adds to a plain task, at most."""
HELD = 320
"""Bytes of a key that is held, at most."""
PUBLISHING = 0.98
"""The same: publishing does nothing for a lock, and this much is the measuring's own."""
TAKING = 0.80
"""Of the rate at which a plain task is published, at least, where the publisher takes the key."""
STORES = (
    (names.ours("sentinel://"), names.ON_SENTINEL, 1.0),
    (names.ours("redis+cluster://"), names.ON_CLUSTER, 1.0),
    (names.ours("redlock://"), names.REDLOCK_NG, 1.0),
    (names.ours("redlock://"), names.POTTERY, 1.0),
    (names.ours("etcd://"), names.ETCD3GW, 0.5),
    (
        names.keys_had(names.ours("zookeeper://"), "it"),
        names.keys_had(names.KAZOO, "it"),
        0.75,
    ),
    (
        names.keys_had(names.ours("zookeeper://"), "another"),
        names.keys_had(names.KAZOO, "another"),
        1.1,
    ),
)
"""Of the time of the other library's lock on the same servers, at most. Level is a tenth more."""
NODE_TRIPS = 2
"""Round trips of a node, at most, to renew a hundred leases."""
GAP = 1.0
"""Seconds that a job of each second may be late after a beat's death: the life of a claim."""


@dataclass(frozen=True)
class Verdict:
    """One target, and what was found."""

    target: str
    found: float
    met: bool


def verdicts(results: Results) -> list[Verdict]:
    """Judge the medians of a run."""
    return [
        *_of_cycle(results),
        *_of_renewal(results),
        *_of_memory(results),
        *_of_throughput(results),
        *_of_publishing(results),
        *_of_beats(results),
        *_of_stores(results),
    ]


def _of_cycle(results: Results) -> Iterator[Verdict]:
    cycle = results.section(names.CYCLE)
    ours = _ratio(cycle.row(names.ENGINE).cells[names.MICROSECONDS])
    theirs = _ratio(cycle.row(names.REDIS_PY_LOCK).cells[names.MICROSECONDS])
    yield _at_most(f"acquire and release, of {names.PINGS}", ours, CYCLE)
    yield _at_most(
        f"acquire and release, of {names.REDIS_PY_LOCK}", ours / theirs, CYCLE_OF_REDIS_PY
    )
    for row in cycle.rows:
        for name, what, most in (
            (names.PERMITS, "with limit=10", PERMITS),
            (names.TWO_LOCKS, "of two locks", TWO_LOCKS),
        ):
            if row.name == name:
                found = _ratio(row.cells[names.MICROSECONDS]) / ours
                yield _at_most(f"acquire and release {what}, of {names.ENGINE}", found, most)


def _of_renewal(results: Results) -> Iterator[Verdict]:
    for row in results.section(names.RENEWAL).rows:
        leases = int(row.name.split()[0].replace(",", ""))
        trips = row.cells[names.TRIPS].value.median
        yield _at_most(f"round trips to renew {row.name}", trips, 1 + leases / 100)


def _of_throughput(results: Results) -> Iterator[Verdict]:
    for section in results.sections:
        if not section.name.startswith(names.throughput("")):
            continue
        theirs = section.row(names.REDIS_PY).cells
        for name in (names.TEMPLATE, names.DIGEST):
            cells, what = section.row(name).cells, f"{section.title}: {name}"
            ahead = _ratio(cells[names.WORKER]) / _ratio(theirs[names.WORKER])
            yield _at_least(f"{what}, worker, of {names.REDIS_PY}", ahead, WORKER)
            yield _at_least(f"{what}, publisher", _ratio(cells[names.PUBLISHER]), PUBLISHING)
            if names.PROCESSOR in cells:  # some systems do not say what a process has used
                added, theirs_added = (_ratio(c[names.PROCESSOR]) - 1 for c in (cells, theirs))
                added_of = f"{what}, processor time added, of {names.REDIS_PY}"
                yield _at_most(added_of, added / theirs_added, PROCESSOR)


def _of_publishing(results: Results) -> Iterator[Verdict]:
    for section in results.sections:
        if section.name.startswith(names.publishing("")):
            for name in (names.UNTIL_STARTED, names.UNTIL_FINISHED):
                found = _ratio(section.row(name).cells[names.PUBLISHER])
                yield _at_least(f"{section.title}: {name}", found, TAKING)


def _of_memory(results: Results) -> Iterator[Verdict]:
    held = results.section(names.MEMORY).row(names.STORE).cells[names.HELD].value.median
    yield _at_most("bytes of a key that is held", held, HELD)


def _of_beats(results: Results) -> Iterator[Verdict]:
    for section in results.sections:
        if section.name != names.BEATS:
            continue
        for beats in (2, 3):
            name = names.locked_beats(beats)
            limits = {names.SENT: 1.0, names.MISSED: 0.0, names.GAP: GAP}
            # each beat claims, and the one that has it confirms
            limits |= {names.CALLS: beats + 1.0, names.IDLE: 0.0}
            for title, limit in limits.items():
                found = section.row(name).cells[title].value.median
                yield _at_most(f"{name}: {title}", found, limit)


def _of_stores(results: Results) -> Iterator[Verdict]:
    for section in results.sections:
        if section.name in (names.STORES, names.HAND_OFF):
            for ours, theirs, most in STORES:
                rows = {row.name: row.cells[names.MICROSECONDS] for row in section.rows}
                if ours in rows and theirs in rows:  # not every store is installed
                    found = _ratio(rows[ours]) / _ratio(rows[theirs])
                    yield _at_most(f"{section.title}: {ours}, of {theirs}", found, most)
        if section.name == names.STORE_RENEWAL:
            for row in section.rows:
                trips = row.cells[names.NODE_TRIPS].value.median
                yield _at_most(f"{section.title}: {row.name}, round trips", trips, NODE_TRIPS)


def _ratio(cell: Cell) -> float:
    assert cell.ratio is not None
    return cell.ratio.median


def _at_most(what: str, found: float, limit: float) -> Verdict:
    return Verdict(f"{what}: at most {limit:g}", found, found <= limit)


def _at_least(what: str, found: float, limit: float) -> Verdict:
    return Verdict(f"{what}: at least {limit:g}", found, found >= limit)
