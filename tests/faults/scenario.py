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
from tests.faults.faults import FAULTS, SOFT, BusyWorker
from tests.faults.history import Finding, Run, find, read, runs_of
from tests.faults.rows import Ending, Row
from tests.faults.setup import NEXT, Setup, kind_of
from tests.faults.watch import Watch, noticed
from tests.services import Proxy, Worker, wait_for
from tests.services.worker import Pool

__all__ = ["SOON", "Outcome", "Target", "Trial", "outcome", "play", "target_of"]

SOON = 1.0
"""Seconds in which a key is free when Celery has seen the end."""
SETTLE = 20.0
"""Seconds after which a scenario ends, whatever is still open."""
CALM = 1.0
"""Seconds without a body, and without a message that could start one, after which it is over."""


@dataclass
class Trial:
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
class Target:
    """A worker for one scenario, or for several one after the other."""

    setup: Setup
    worker: Worker
    queue: str
    wire: Proxy | None = None


@contextmanager
def target_of(setup: Setup, ending: Ending, pool: Pool, concurrency: int) -> Iterator[Target]:
    """A worker that runs; it is killed at the end."""
    wire = Proxy(setup.server.port) if ending.fault == "lose machine" else None
    soft = SOFT if ending.fault == "soft" else 0.0
    worker, queue = setup.worker(pool, concurrency, args=ending.worker, soft=soft, wire=wire)
    try:
        worker.start()
        yield Target(setup, worker, queue, wire)
    finally:
        worker.process.kill()
        if wire:
            wire.close()


def play(target: Target, rows: Sequence[Row], twins: Sequence[str] = TWINS) -> list[Trial]:
    """Play rows of one ending at the same time, each with its twins."""
    ending, setup = rows[0].ending, target.setup
    name = f"{ending.name}-{uuid.uuid4().hex[:6]}".replace(" ", "-").replace(",", "")
    book = setup.folder / f"{name}.jsonl"
    trials = [_trial(target, row, twin, book) for row in rows for twin in twins]
    wait_for(lambda: all(trial.started() for trial in trials), f"the bodies of {name}", timeout=20)
    firsts = [first for trial in trials if (first := trial.started())]
    holders = {line["key"]: line["holder"] for line in read(book) if line["what"] == "start"}
    with Watch(book, setup.store) as watch:
        for trial in trials:
            trial.watch = watch
            if holders[trial.key]:
                watch.key(trial.key, holders[trial.key])
        for pid in {run.pid for run in firsts}:
            watch.process(pid)
        for trial in trials:
            _send_next(setup, trial)
        time.sleep(0.2)
        FAULTS[ending.fault](
            BusyWorker(
                setup,
                target.worker,
                target.wire,
                [run.pid for run in firsts],
                [run.task_id for run in firsts],
            )
        )
        if ending.ends_worker:
            setup.take_over(target.queue)
        _settle(target, trials)
    told = noticed(target.worker.logs())
    for trial, first in zip(trials, firsts, strict=True):
        trial.noticed = told.get(first.pid)
    return trials


def _trial(target: Target, row: Row, twin: str, book: Path) -> Trial:
    task_id, key = uuid.uuid4().hex, f"{twin}-{uuid.uuid4().hex[:8]}"
    trial = Trial(row, twin, key, book, task_id, [task_id])
    target.setup.app.tasks[f"faults.{twin}.{row.acks.name}"].apply_async(
        (str(book), key, row.ending.body),
        task_id=task_id,
        queue=target.queue,
        **row.ending.limits,
    )
    return trial


def _send_next(setup: Setup, trial: Trial) -> None:
    """Who wants the key. After a pause two: the second shows whether the first one keeps it."""
    seconds = [0.1]
    if trial.row.ending.fault == "pause":
        seconds = [2 * setup.kind.ttl] * 2
    for one in seconds:
        task = setup.app.tasks[f"faults.{trial.twin}.next"]
        trial.sent.append(task.apply_async((str(trial.book), trial.key, one), queue=NEXT).id)


def _settle(target: Target, trials: Sequence[Trial]) -> None:
    """Wait until every task has come to its end, or nothing more happens for a while."""
    setup = target.setup
    until, calm_since, waiting = time.monotonic() + SETTLE, None, frozenset[str]()
    # nobody sees who waits for a key: no message is left, and the body has not begun
    next_ones = {task_id for trial in trials for task_id in trial.sent[1:]}
    while time.monotonic() < until:
        missing = set().union(*(trial.missing() for trial in trials))
        if not missing:
            return
        queued, kept = setup.pending(missing, target.queue)
        waiting = frozenset(queued | kept)
        inside = any(run.how == "open" for trial in trials for run in trial.runs())
        # what a dead worker never acknowledged comes back after the visibility timeout
        late = kept and (target.worker.alive() or setup.kind.visibility < SETTLE)
        if inside or queued or late or missing & next_ones:
            calm_since = None
        elif calm_since is None:
            calm_since = time.monotonic()
        elif time.monotonic() - calm_since > CALM:
            break
        time.sleep(0.05)
    for trial in trials:
        trial.waiting = waiting & trial.missing()


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


def outcome(locked: Trial, plain: Trial, stall: float = 0.0) -> Outcome:
    """Judge a row by its two trials.

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


def _taken(trial: Trial) -> tuple[float | None, float]:
    first, watch = trial.started(), trial.watch
    assert watch is not None
    if first is None or first.end is None:
        return None, 0.0
    lines: list[dict[str, Any]] = read(trial.book)
    holder = next(
        line["holder"] for line in lines if line["what"] == "start" and line["run"] == first.name
    )
    later = [run.start for run in trial.runs() if run.start > first.start]
    free = min([*later, *filter(None, [watch.passed_on.get(holder)])], default=None)
    if free is None:
        return None, 0.0
    seen = max(watch.reaped.get(first.pid, 0.0), trial.noticed or 0.0)
    unnoticed = 0.0
    if first.how == "dead" and trial.row.ending.seen and seen:
        unnoticed = max(0.0, min(seen, free) - first.end)
    return max(0.0, free - first.end), unnoticed
