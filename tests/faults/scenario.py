"""Plays rows: a body starts, the fault comes, the next task wants the key; what came of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.faults.app import TWINS
from tests.faults.faults import FAULTS, SOFT, Scene
from tests.faults.ground import NEXT, Ground, kind_of
from tests.faults.history import Finding, Run, find, read, runs_of
from tests.faults.rows import Ending, Row
from tests.faults.watch import Watch, noticed
from tests.services import Proxy, Worker, wait_for
from tests.services.worker import Pool

__all__ = ["SOON", "Cast", "Outcome", "Stage", "on_stage", "outcome", "play"]

SOON = 1.0
"""Seconds in which a key is free when Celery has seen the end."""
SETTLE = 20.0
"""Seconds after which a scenario ends, whatever is still open."""
CALM = 1.0
"""Seconds without a body, and without a message that could start one, after which it is over."""


@dataclass
class Cast:
    """One task that meets its fault, and who wants its key after it."""

    row: Row
    twin: str
    key: str
    book: Path
    task_id: str
    sent: list[str]
    watch: Watch | None = None
    noticed: float | None = None
    """When Celery noticed that its process was dead."""
    waiting: frozenset[str] = frozenset()
    """Tasks of which the broker still had a message when the scenario ended."""

    def runs(self) -> list[Run]:
        """All runs of its key."""
        return [run for run in runs_of(read(self.book)) if run.key == self.key]

    def started(self) -> Run | None:
        """The first run of the task that meets its fault."""
        return next((run for run in self.runs() if run.task_id == self.task_id), None)

    def missing(self) -> set[str]:
        """Which tasks no run has brought to its end."""
        return set(find(self.runs(), self.sent).lost)


@dataclass(frozen=True)
class Stage:
    """A worker for one scenario, or for several one after the other."""

    ground: Ground
    worker: Worker
    queue: str
    wire: Proxy | None = None


@contextmanager
def on_stage(ground: Ground, ending: Ending, pool: Pool, slots: int) -> Iterator[Stage]:
    """A worker that runs; it is killed at the end."""
    wire = Proxy(ground.server.port) if ending.fault == "lose machine" else None
    soft = SOFT if ending.fault == "soft" else 0.0
    worker, queue = ground.worker(pool, slots, args=ending.worker, soft=soft, wire=wire)
    try:
        worker.start()
        yield Stage(ground, worker, queue, wire)
    finally:
        worker.process.kill()
        if wire:
            wire.close()


def play(stage: Stage, rows: Sequence[Row], twins: Sequence[str] = TWINS) -> list[Cast]:
    """Play rows of one ending at the same time, each with its twins."""
    ending, ground = rows[0].ending, stage.ground
    name = f"{ending.name}-{uuid.uuid4().hex[:6]}".replace(" ", "-").replace(",", "")
    book = ground.folder / f"{name}.jsonl"
    casts = [_cast(stage, row, twin, book) for row in rows for twin in twins]
    wait_for(lambda: all(cast.started() for cast in casts), f"the bodies of {name}", timeout=20)
    firsts = [first for cast in casts if (first := cast.started())]
    holders = {line["key"]: line["holder"] for line in read(book) if line["what"] == "start"}
    with Watch(book, ground.store) as watch:
        for cast in casts:
            cast.watch = watch
            if holders[cast.key]:
                watch.key(cast.key, holders[cast.key])
        for pid in {run.pid for run in firsts}:
            watch.process(pid)
        for cast in casts:
            _send_next(ground, cast)
        time.sleep(0.2)
        FAULTS[ending.fault](
            Scene(
                ground,
                stage.worker,
                stage.wire,
                [run.pid for run in firsts],
                [run.task_id for run in firsts],
            )
        )
        if ending.ends_worker:
            ground.take_over(stage.queue)
        _settle(stage, casts)
    told = noticed(stage.worker.logs())
    for cast, first in zip(casts, firsts, strict=True):
        cast.noticed = told.get(first.pid)
    return casts


def _cast(stage: Stage, row: Row, twin: str, book: Path) -> Cast:
    task_id, key = uuid.uuid4().hex, f"{twin}-{uuid.uuid4().hex[:8]}"
    cast = Cast(row, twin, key, book, task_id, [task_id])
    stage.ground.app.tasks[f"faults.{twin}.{row.acks.name}"].apply_async(
        (str(book), key, row.ending.body),
        task_id=task_id,
        queue=stage.queue,
        **row.ending.limits,
    )
    return cast


def _send_next(ground: Ground, cast: Cast) -> None:
    """Who wants the key. After a pause two: the second shows whether the first one keeps it."""
    seconds = [0.1]
    if cast.row.ending.fault == "pause":
        seconds = [2 * ground.kind.ttl] * 2
    for one in seconds:
        task = ground.app.tasks[f"faults.{cast.twin}.next"]
        cast.sent.append(task.apply_async((str(cast.book), cast.key, one), queue=NEXT).id)


def _settle(stage: Stage, casts: Sequence[Cast]) -> None:
    """Wait until every task has come to its end, or nothing more happens for a while."""
    ground = stage.ground
    until, calm_since, waiting = time.monotonic() + SETTLE, None, frozenset[str]()
    # nobody sees who waits for a key: no message is left, and the body has not begun
    next_ones = {task_id for cast in casts for task_id in cast.sent[1:]}
    while time.monotonic() < until:
        missing = set().union(*(cast.missing() for cast in casts))
        if not missing:
            return
        queued, kept = ground.pending(missing, stage.queue)
        waiting = frozenset(queued | kept)
        inside = any(run.how == "open" for cast in casts for run in cast.runs())
        # what a dead worker never acknowledged comes back after the visibility timeout
        late = kept and (stage.worker.alive() or ground.kind.visibility < SETTLE)
        if inside or queued or late or missing & next_ones:
            calm_since = None
        elif calm_since is None:
            calm_since = time.monotonic()
        elif time.monotonic() - calm_since > CALM:
            break
        time.sleep(0.05)
    for cast in casts:
        cast.waiting = waiting & cast.missing()


# -- what came of it ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """One row of the matrix, played."""

    row: Row
    locked: Finding
    plain: Finding
    seconds: float | None
    """From the end of the body (its process's death) to the key's being free; `None`: never."""
    unnoticed: float
    """How many of these passed until Celery had noticed the death, and reaped the process."""
    wrong: tuple[str, ...]
    waiting: tuple[int, int] = (0, 0)
    """How many tasks were neither lost nor run yet, with a lock and without."""

    @property
    def verdict(self) -> str:
        """`ok`, or what is wrong."""
        return "; ".join(self.wrong) or "ok"


def outcome(locked: Cast, plain: Cast, stall: float = 0.0) -> Outcome:
    """Judge a row by its two casts.

    A key may be free `stall` seconds later than is promised: so long a busy machine may have kept
    a process from running.
    """
    mine = find(locked.runs(), locked.sent)
    its = find(plain.runs(), plain.sent)
    seconds, unnoticed = _taken(locked)
    wrong = []
    row = locked.row
    if mine.overlaps:
        wrong.append(f"{len(mine.overlaps)} overlaps")
    if mine.backward:
        wrong.append("a token did not grow")
    if mine.double:
        wrong.append(f"{len(mine.double)} ran to their end twice")
    if len(mine.lost) > len(its.lost):
        wrong.append(f"{len(mine.lost)} did not run, {len(its.lost)} without a lock")
    robbed = [
        run
        for run in mine.leases_lost
        if not (row.ending.may_lose and run.task_id == locked.task_id)
    ]
    if robbed:
        wrong.append("a lease was lost")
    promise = SOON if row.ending.seen else kind_of(row.ending).ttl + 1.0
    if seconds is None:
        wrong.append("the key stayed taken")
    elif seconds - unnoticed > promise + stall:
        wrong.append(f"the key was free after {seconds - unnoticed:.1f} s, not {promise:g}")
    return Outcome(
        row,
        replace(mine, lost=tuple(one for one in mine.lost if one not in locked.waiting)),
        replace(its, lost=tuple(one for one in its.lost if one not in plain.waiting)),
        seconds,
        unnoticed,
        tuple(wrong),
        (len(locked.waiting), len(plain.waiting)),
    )


def _taken(cast: Cast) -> tuple[float | None, float]:
    first, watch = cast.started(), cast.watch
    assert watch is not None
    if first is None or first.end is None:
        return None, 0.0
    lines: list[dict[str, Any]] = read(cast.book)
    holder = next(
        line["holder"] for line in lines if line["what"] == "start" and line["run"] == first.name
    )
    later = [run.start for run in cast.runs() if run.start > first.start]
    free = min([*later, *filter(None, [watch.passed_on.get(holder)])], default=None)
    if free is None:
        return None, 0.0
    seen = max(watch.reaped.get(first.pid, 0.0), cast.noticed or 0.0)
    unnoticed = 0.0
    if first.how == "dead" and cast.row.ending.seen and seen:
        unnoticed = max(0.0, min(seen, free) - first.end)
    return max(0.0, free - first.end), unnoticed
