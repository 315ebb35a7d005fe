"""Ticks whose beat was lost before it confirmed, and who published them then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.beats.entries import Entry
from tests.beats.history import History, Publishing, Span

__all__ = ["EDGE", "LATE", "TakeOver", "in_outage", "lost", "merged", "take_overs"]

EDGE = 0.5
"""Seconds before an outage in which an entry may be due and find the store gone already."""
LATE = 1.0
"""Seconds beyond a claim's life in which it must have been taken over, on a busy machine."""


@dataclass(frozen=True)
class TakeOver:
    """A tick that was claimed by a beat which was lost, and published by another one."""

    entry: str
    due: float
    seconds: float
    """From the loss to the publishing."""
    late: bool
    """It took longer than the claim's life, with no outage in between."""


def in_outage(due: float, entry: Entry, outages: Iterable[Span]) -> bool:
    """Whether a due time is in an outage, or so soon after one that nobody may take over yet."""
    return any(out.start - EDGE <= due <= out.end + entry.claim_life for out in outages)


def lost(one: Publishing, entry: Entry, history: History) -> tuple[str, float] | None:
    """How, and when, the beat was lost before it confirmed; `None`: it was not."""
    if one.confirmed is not None:
        return None
    end = history.end_of(one.pid)
    died = end is not None and end.how in ("killed", "injected")
    if end is not None and died and end.at - one.at < entry.claim_life:
        return end.how, end.at
    for pause in (*history.pauses, *history.stills):
        if pause.pid in (one.pid, 0) and -EDGE < pause.start - one.at < entry.claim_life:
            return "paused", pause.start
    return None


def merged(due: float, entry: Entry, history: History) -> bool:
    """Whether the tick before was still open because its takers were lost, or failed, twice."""
    mine = [one for one in history.publishings if one.entry == entry.name and one.due is not None]
    for tick in {one.due for one in mine if one.due is not None and one.due < due}:
        tries = [one for one in mine if one.due == tick]
        # a taker that died after publishing has left it open as well
        over = min((one.confirmed for one in tries if one.confirmed), default=history.ended)
        failed = [one for one in tries if one.failed or lost(one, entry, history)]
        if len(failed) >= 2 and due <= over:
            return True
    return False


def take_overs(history: History, entries: Sequence[Entry]) -> Iterable[TakeOver]:
    """Those of a run, each timed from the loss."""
    for entry in entries:
        mine = [one for one in history.publishings if one.entry == entry.name]
        for one in mine:
            gone = lost(one, entry, history)
            tries = [other for other in mine if other.due == one.due]
            sent = [other.published for other in tries if other.published is not None]
            later = [at for at in sent if at > one.at]
            if gone is None or one.due is None or one.published is not None or not later:
                continue
            seconds = min(later) - gone[1]
            out = any(
                out.start - EDGE <= min(later) and gone[1] <= out.end + entry.claim_life
                for out in history.outages
            )
            # who took over may have been lost as well
            lives = sum(other.failed or bool(lost(other, entry, history)) for other in tries)
            late = not out and seconds > lives * entry.claim_life + LATE
            yield TakeOver(one.entry, one.due, seconds, late)
