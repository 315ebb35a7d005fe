"""What the bodies recorded, and what it says: overlaps, token order, lost, double."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = ["Finding", "Run", "find", "read", "runs_of"]


@dataclass(frozen=True)
class Run:
    """One run of a body, by one clock for all processes of the machine."""

    name: str
    """Its own, whatever task and delivery it is."""
    key: str
    task_id: str
    publication: str
    retry_no: int
    pid: int
    start: float
    end: float | None = None
    """When the body left, or when its process was dead at the latest; `None`: it never was."""
    token: int | None = None
    """The fencing token; `None` for a task without a lock."""
    how: str = "open"
    """`done`: it came to its own end. `again`: it sent or left itself to be run again.
    `cut`: something ended it. `dead`: its process died under it. `open`: nothing is known."""
    lost: bool = False
    """When it ended its lease said that it was lost."""


@dataclass(frozen=True)
class Finding:
    """What a history says."""

    overlaps: tuple[tuple[Run, Run], ...] = ()
    """Runs of one key that were inside at once, and the earlier one was not told of a loss."""
    excused: tuple[tuple[Run, Run], ...] = ()
    """The same where it was told: a lease cannot stop a holder that was paused past its end."""
    backward: tuple[tuple[Run, Run], ...] = ()
    """A later run of the key had a token that was not greater."""
    lost: tuple[str, ...] = ()
    """Tasks that were sent and that no run brought to its own end."""
    double: tuple[str, ...] = ()
    """Publications whose body came to its own end more than once."""
    leases_lost: tuple[Run, ...] = ()
    """Runs whose lease was lost."""

    @property
    def clean(self) -> bool:
        """Nothing is wrong; what was lost must be compared with a plain task's."""
        return not (self.overlaps or self.backward or self.double)


def find(runs: Iterable[Run], sent: Iterable[str] = ()) -> Finding:
    """Decide; `sent` are the ids of all tasks that were sent."""
    runs = sorted(runs, key=lambda run: run.start)
    overlaps: list[tuple[Run, Run]] = []
    excused: list[tuple[Run, Run]] = []
    backward: list[tuple[Run, Run]] = []
    for key in dict.fromkeys(run.key for run in runs):
        mine = [run for run in runs if run.key == key]
        for number, later in enumerate(mine):
            for earlier in mine[:number]:
                if earlier.end is None or earlier.end > later.start:
                    (excused if earlier.lost else overlaps).append((earlier, later))
        locked = [run for run in mine if run.token is not None]
        for earlier, later in pairwise(locked):
            if not _grew(earlier, later):
                backward.append((earlier, later))
    done = [run for run in runs if run.how == "done"]
    ended = {run.task_id for run in done}
    publications = [run.publication for run in done]
    return Finding(
        overlaps=tuple(overlaps),
        excused=tuple(excused),
        backward=tuple(backward),
        lost=tuple(sorted(set(sent) - ended)),
        double=tuple(sorted({one for one in publications if publications.count(one) > 1})),
        leases_lost=tuple(run for run in runs if run.lost),
    )


def _grew(earlier: Run, later: Run) -> bool:
    assert earlier.token is not None
    assert later.token is not None
    # a lease that is kept across retries is one lease, and has one token
    kept = earlier.task_id == later.task_id and earlier.retry_no < later.retry_no
    return later.token > earlier.token or (kept and later.token == earlier.token)


# -- from the lines that the bodies wrote -------------------------------------------------------


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that all processes append to; one that is half written is no line."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def runs_of(lines: Sequence[dict[str, Any]]) -> list[Run]:
    """The runs that lines tell of.

    A body that was killed writes no end. Its run ends when its process was known to be dead:
    somebody who watched wrote so (`died`), or a later body of the key looked before it began and
    wrote which ones it had found dead (`dead`).
    """
    ends = {line["run"]: line for line in lines if line["what"] == "end"}
    died: dict[int, float] = {}
    gone: dict[str, float] = {}
    for line in lines:
        if line["what"] == "died":
            died[line["pid"]] = min(line["at"], died.get(line["pid"], line["at"]))
        elif line["what"] == "start":
            for name in line.get("dead", ()):
                gone[name] = min(line["at"], gone.get(name, line["at"]))
    return [_run(line, ends.get(line["run"]), died, gone) for line in lines if _starts(line)]


def _starts(line: dict[str, Any]) -> bool:
    return bool(line["what"] == "start")


def _run(
    line: dict[str, Any],
    ended: dict[str, Any] | None,
    died: dict[int, float],
    gone: dict[str, float],
) -> Run:
    if ended is not None:
        end, how, lost = ended["at"], ended["how"], ended.get("lost", False)
    else:
        seen = [when for when in (died.get(line["pid"]), gone.get(line["run"])) if when]
        end, how, lost = min(seen, default=None), "dead" if seen else "open", False
    return Run(
        name=line["run"],
        key=line["key"],
        task_id=line["task_id"],
        publication=line["publication"],
        retry_no=line["retry_no"],
        pid=line["pid"],
        start=line["at"],
        end=end,
        token=line.get("token"),
        how=how,
        lost=lost,
    )
