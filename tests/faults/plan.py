"""Which rows are played together: those that disturb nobody share a worker, the others have one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.faults.app import TWINS
from tests.faults.ground import Ground, Kind, kind_of
from tests.faults.rows import Row
from tests.faults.scenario import Cast, Outcome, on_stage, outcome, play

__all__ = ["Session", "judged", "sessions"]


@dataclass(frozen=True)
class Session:
    """Rows of one pool and one kind of ground, for one worker after the other."""

    kind: Kind
    batches: tuple[tuple[Row, ...], ...]
    """Each of one ending."""

    @property
    def name(self) -> str:
        """For messages."""
        first = self.batches[0][0]
        which = first.ending.name if len(self.batches) == 1 else f"{len(self.batches)} endings"
        return f"{first.pool}: {which}"

    def play(self, ground: Ground) -> Iterator[Outcome]:
        """Play them all."""
        first = self.batches[0][0]
        # one slot: one body at a time, and for a fault of the whole worker a worker for each
        takes = [one for rows in self.batches for one in _takes(rows)]
        slots = max(len(rows) * len(twins) for rows, twins in takes)
        casts: list[Cast] = []
        if first.ending.alone:
            for some, twins in takes:
                with on_stage(ground, first.ending, first.pool, slots) as stage:
                    casts += play(stage, some, twins)
        else:
            with on_stage(ground, first.ending, first.pool, slots) as stage:
                for some, twins in takes:
                    casts += play(stage, some, twins)
        yield from judged([row for rows in self.batches for row in rows], casts)


def judged(rows: Sequence[Row], casts: Sequence[Cast], stall: float = 0.0) -> list[Outcome]:
    """Judge each row by its two casts; see `outcome`."""

    def of(row: Row, twin: str) -> Cast:
        return next(cast for cast in casts if cast.row is row and cast.twin == twin)

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
