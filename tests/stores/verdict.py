"""What the bodies of one play recorded, and what it says against what was promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.faults.history import Run, runs_of
from tests.services.waiting import STALL
from tests.stores.rows import Promise

__all__ = ["VOID", "Moments", "Play", "judge", "overlaps_of"]


VOID = "it shows nothing: "
"""What is wrong with a play begins so if it was another one than its row says: a busy machine had
not come so far when the fault came, or had servers stand still that the row leaves alone."""


BUSY = 6
"""Bodies inside at once that leave the load hardly anybody for a further grant: there are eight
processes, the keys are few, and who waits for one of them needs a process as well."""


@dataclass(frozen=True)
class Moments:
    """When what happened in a play, by the clock that the bodies record with."""

    begun: float
    """The first message was sent."""
    struck: float
    """The fault began."""
    healed: float
    """`befall` returned."""
    over: float
    """No more messages were sent."""


@dataclass(frozen=True)
class Play:
    """One play of a row. All numbers of seconds are those of one machine's clock."""

    grants: int
    overlaps: int
    """Pairs of bodies of one key that were inside at once. A body whose lease was lost is not
    inside any more from the moment on at which `lease.lost` was true."""
    worst: float
    """Seconds of the longest one."""
    backward: int
    """Grants of a key whose token was not greater than the one before."""
    leases_lost: int
    quiet: float
    """The longest time without a grant of any key, while there was work."""
    back: float
    """From the end of `befall` to the next grant."""
    lost: int
    """Tasks that were sent and did not come to their end."""
    errors: dict[str, int]
    """How often the store failed, by the engine's call."""
    failures: int
    """Tasks that ended with an error."""
    wrong: tuple[str, ...]
    """Where it is not as promised; nothing is best."""

    @property
    def is_void(self) -> bool:
        """It shows nothing of its row, neither good nor bad; a task is never lost for that."""
        return (
            not self.lost and not self.failures and any(why.startswith(VOID) for why in self.wrong)
        )


def judge(
    lines: Sequence[dict[str, Any]],
    sent: Iterable[str],
    moments: Moments,
    promise: Promise,
    *,
    locked: bool = True,
    by_itself: str = "",
) -> Play:
    """Sum up a play; `by_itself` is what happened to the servers that its row does not do."""
    runs = sorted(runs_of(lines), key=lambda run: run.start)
    # work was there from the first message to the end of sending; what came later is the rest
    starts = [run.start for run in runs if run.start <= moments.over]
    quiet = max((b - a for a, b in pairwise([*starts, moments.over])), default=0.0)
    back = min((s - moments.healed for s in starts if s >= moments.healed), default=None)
    overlaps = overlaps_of(runs)
    worst = max(overlaps, default=0.0)
    failures = [line["error"] for line in lines if line["what"] == "error"]
    lost = set(sent) - {run.task_id for run in runs if run.how == "done"}
    backward = _backward(runs)
    wrong: list[str] = []
    if not starts or starts[0] > moments.struck:
        wrong.append(f"{VOID}nothing ran before the fault")
    if by_itself:
        wrong.append(f"{VOID}{by_itself}")
    if not locked and not overlaps:
        wrong.append("without a lock nothing overlapped: the load shows nothing")
    if locked and promise.overlap is not None and worst > promise.overlap:
        wrong.append(f"{len(overlaps)} overlaps of at most {worst:.2f} s")
    if promise.tokens and backward:
        wrong.append(f"{backward} tokens did not grow")
    late = _unused(runs, moments.healed, moments.over if back is None else moments.healed + back)
    if late > promise.back_within + STALL:
        came = "there was no grant" if back is None else f"the next grant came {back:.1f} s"
        wrong.append(f"{came} after it")
    elif back is None:
        wrong.append(f"{VOID}the load had no process for a grant after it")
    if lost:
        wrong.append(f"{len(lost)} tasks did not come to their end")
    if len(failures) > promise.failures:
        wrong.append(f"{len(failures)} tasks failed, such as {failures[0]}")
    return Play(
        grants=len(runs),
        overlaps=len(overlaps),
        worst=worst,
        backward=backward,
        leases_lost=sum(run.lost for run in runs),
        quiet=quiet,
        back=moments.over - moments.healed if back is None else back,
        lost=len(lost),
        errors=dict(Counter(line["call"] for line in lines if line["what"] == "failed")),
        failures=len(failures),
        wrong=tuple(wrong),
    )


def overlaps_of(runs: Iterable[Run]) -> list[float]:
    """For how many seconds two bodies of one key were inside at once, pair by pair."""
    found: list[float] = []
    inside: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.start):
        others = [one for one in inside.get(run.key, ()) if _end(one) > run.start]
        found += [min(_end(one), _end(run)) - run.start for one in others]
        inside[run.key] = [*others, run]
    return found


def _unused(runs: Iterable[Run], since: float, until: float) -> float:
    """For how many seconds of this time the load had processes for further bodies."""
    there = [run for run in runs if run.start < until and _end(run) > since]
    changes = [(max(run.start, since), 1) for run in there]
    changes += [(_end(run), -1) for run in there if _end(run) < until]
    unused, inside, before = 0.0, 0, since
    for at, change in [*sorted(changes), (until, 0)]:
        if inside < BUSY:
            unused += at - before
        inside, before = inside + change, at
    return unused


def _end(run: Run) -> float:
    return float("inf") if run.end is None else run.end


def _backward(runs: Iterable[Run]) -> int:
    last: dict[str, int] = {}
    found = 0
    for run in runs:
        if run.token is not None:
            found += run.token <= last.get(run.key, -1)
            last[run.key] = max(run.token, last.get(run.key, -1))
    return found
