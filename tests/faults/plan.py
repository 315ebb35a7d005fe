"""Which rows are played together: those that disturb nobody share a worker, the others have one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.faults.app import TWINS
from tests.faults.rows import Row
from tests.faults.scenario import Outcome, Trial, outcome, play, target_of
from tests.faults.setup import Kind, Setup, kind_of

__all__ = ["Session", "judged", "sessions"]


@dataclass(frozen=True)
class Session:
    """Rows of one pool and one kind of setup, for one worker after the other."""

    kind: Kind
    batches: tuple[tuple[Row, ...], ...]
    """Each of one ending."""

    @property
    def name(self) -> str:
        """For messages."""
        first = self.batches[0][0]
        which = first.ending.name if len(self.batches) == 1 else f"{len(self.batches)} endings"
        return f"{first.pool}: {which}"

    def play(self, setup: Setup) -> Iterator[Outcome]:
        """Play them all."""
        first = self.batches[0][0]
        # with a concurrency of one there is one body at a time, and for a fault of the whole worker
        # there is a worker for each
        takes = [one for rows in self.batches for one in _takes(rows)]
        concurrency = max(len(rows) * len(twins) for rows, twins in takes)
        trials: list[Trial] = []
        if first.ending.alone:
            for some, twins in takes:
                with target_of(setup, first.ending, first.pool, concurrency) as target:
                    trials += play(target, some, twins)
        else:
            with target_of(setup, first.ending, first.pool, concurrency) as target:
                for some, twins in takes:
                    trials += play(target, some, twins)
        yield from judged([row for rows in self.batches for row in rows], trials)


def judged(rows: Sequence[Row], trials: Sequence[Trial], stall: float = 0.0) -> list[Outcome]:
    """Judge each row by its two trials; see `outcome`."""

    def of(row: Row, twin: str) -> Trial:
        return next(trial for trial in trials if trial.row is row and trial.twin == twin)

    return [outcome(of(row, "locked"), of(row, "plain"), stall) for row in rows]


def _takes(rows: Sequence[Row]) -> list[tuple[list[Row], tuple[str, ...]]]:
    # of several greenlets Celery forgets one now and then when it shuts down cold
    forgets = rows[0].pool == "gevent" and rows[0].ending.fault in ("cold", "soft")
    if rows[0].pool == "solo" or forgets:
        return [([row], (twin,)) for row in rows for twin in TWINS]
    return [(list(rows), TWINS)]


def sessions(rows: Sequence[Row]) -> list[Session]:
    """Put rows together."""
    together: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    for row in rows:
        alone = row.ending.name if row.ending.alone else ""
        batches = together.setdefault((row.pool, alone), {})
        batches.setdefault(row.ending.name, []).append(row)
    return [
        Session(
            kind_of(next(iter(batches.values()))[0].ending),
            tuple(tuple(rows) for rows in batches.values()),
        )
        for batches in together.values()
    ]
