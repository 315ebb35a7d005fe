"""Prints what came of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.beats.verdict import Duplicate, Verdict

__all__ = ["report"]


def report(verdict: Verdict) -> Iterator[str]:
    """The lines."""
    yield (
        f"{'entry':12} {'runs':>5} {'fired':>6} {'due':>6} {'twice':>6} {'missed':>7}"
        f" {'in outage':>10} {'merged':>7} {'drift, s':>9}  {'late p50 / p99, ms':>18}"
    )
    for one in verdict.entries:
        late = f"{_quantile(one.lateness, 0.5):.0f} / {_quantile(one.lateness, 0.99):.0f}"
        yield (
            f"{one.entry.name:12} {one.runs:>5} {one.fired:>6} {one.due_times:>6}"
            f" {len(one.duplicates):>6} {len(one.missed):>7} {len(one.collapsed):>10}"
            f" {len(one.merged):>7} {one.drift:>9.6f}  {late:>18}"
        )
    yield (
        f"beats: {verdict.kills} killed, {verdict.injected} died at a chosen point,"
        f" {verdict.pauses} paused; store: {verdict.outages} outages"
    )
    for entry in sorted({take.entry for take in verdict.take_overs}):
        seconds = sorted(take.seconds for take in verdict.take_overs if take.entry == entry)
        listed = ", ".join(f"{each:.2f}" for each in seconds)
        yield f"taken over, {entry}: {listed} s after the loss"
    duplicates = [each for one in verdict.entries for each in one.duplicates]
    yield from (_of_duplicate(each) for each in duplicates[:10])
    if len(duplicates) > 10:
        yield f"... and {len(duplicates) - 10} due times more that ran more than once"
    yield from (f"WRONG {line}" for line in verdict.wrong[:20])
    if len(verdict.wrong) > 20:
        yield f"... and {len(verdict.wrong) - 20} more"
    yield "as promised" if not verdict.wrong else f"{len(verdict.wrong)} wrong"


def _of_duplicate(each: Duplicate) -> str:
    ids = "one id" if each.same_id else f"{len(set(each.task_ids))} ids"
    return f"{each.entry} at {each.due:.3f}: {len(each.task_ids)} runs, {ids}; {each.why or '-'}"


def _quantile(values: Sequence[float], share: float) -> float:
    """In milliseconds; 0 where there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0
