"""A run of the benchmarks as the tests write it: each number said, none of them measured."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import names
from benchmarks.arithmetic import Spread
from benchmarks.results import Cell, Results, Row, Section

MACHINE = {
    "processor": "2 x Abacus",
    "system": "Linux x86_64",
    "python": "3.13.1",
    "server": "Redis 7.0.15",
    "celery": "5.7.0",
    "redis": "8.1.0",
}

LOCKS = (
    names.STORE,
    names.ENGINE,
    names.REDIS_PY_LOCK,
    names.ONCE_BACKEND,
    names.SINGLETON_BACKEND,
)
BEATS = (names.PLAIN_BEATS, names.REDBEAT, names.locked_beats(2), names.locked_beats(3))
PUBLISHERS = (names.UNTIL_STARTED, names.UNTIL_FINISHED)
TASKS = (names.TEMPLATE, names.DIGEST, names.REDIS_PY, names.ONCE, names.SINGLETON)


def cell(ratio: float | None = None, value: float = 1.0) -> Cell:
    """A cell whose rounds all came to the same."""
    return Cell(always(value), None if ratio is None else always(ratio))


def always(value: float) -> Spread:
    return Spread(value, value, value, 3)


def section(name: str, rows: Mapping[str, Mapping[str, Cell]]) -> Section:
    base = next(iter(rows))
    listed = [Row(row, cells) for row, cells in rows.items()]
    return Section(name, f"Title of {name}", f"About {name}.", base, listed)


def a_run(
    *,
    cycle: float = 1.4,
    two: float | None = None,
    permits: float | None = None,
    redis_py: float = 3.0,
    trips: Mapping[int, float] | None = None,
    worker: float = 1.0,
    publisher: float = 1.0,
    theirs: float | None = None,
    processor: float = 1.5,
    held: float = 300.0,
    taking: float = 0.9,
    beats: Mapping[str, float] | None = None,
) -> Results:
    """A run that meets all targets, but for what the arguments say."""
    ours = dict.fromkeys((names.STORE, names.ENGINE), cycle)
    ours[names.PERMITS] = cycle if permits is None else permits
    ours[names.TWO_LOCKS] = cycle if two is None else two
    shares = dict.fromkeys(LOCKS, redis_py) | ours
    tasks = {name: _of_task(name, worker, theirs, publisher, processor) for name in TASKS}
    trips = {1: 1, 1_000: 10} if trips is None else trips
    bytes_held = {name: {names.HELD: cell(1.0, 100 + place)} for place, name in enumerate(LOCKS)}
    bytes_held[names.STORE] = {names.HELD: cell(1.0, held)}
    return Results(
        MACHINE,
        [
            section(names.CYCLE, {n: {names.MICROSECONDS: cell(r)} for n, r in shares.items()}),
            section(names.throughput("prefork"), tasks),
            section(names.throughput("threads"), tasks),
            *(
                section(
                    names.publishing(broker),
                    {n: {names.PUBLISHER: cell(taking)} for n in (*PUBLISHERS, names.ONCE)},
                )
                for broker in (names.REDIS, names.RABBITMQ)
            ),
            section(
                names.RENEWAL,
                {names.leases(n): {names.TRIPS: cell(1.0, t)} for n, t in trips.items()},
            ),
            section(names.MEMORY, bytes_held),
            section(names.BEATS, {n: _of_beats(n, beats or {}) for n in BEATS}),
        ],
    )


def _of_task(
    name: str, worker: float, theirs: float | None, publisher: float, processor: float
) -> Mapping[str, Cell]:
    ours = name in (names.TEMPLATE, names.DIGEST)
    return {
        names.WORKER: cell(worker if ours or theirs is None else theirs),
        names.PUBLISHER: cell(publisher),
        names.PROCESSOR: cell(processor if ours else 2.0),
    }


def _of_beats(name: str, beats: Mapping[str, float]) -> Mapping[str, Cell]:
    calls = {names.locked_beats(number): number + 1.0 for number in (2, 3)}.get(name, 0.0)
    values = {names.SENT: 1.0, names.MISSED: 0.0, names.GAP: 0.0}
    values |= {names.CALLS: calls, names.IDLE: 0.0}
    return {title: cell(None, value) for title, value in {**values, **beats}.items()}
