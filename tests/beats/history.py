"""What the book of a run says: what ran, who sent it, how beats ended, when the store was out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["End", "History", "Publishing", "Run", "Span", "history_of"]

ENDS = ("killed", "injected", "stopped", "ended by itself")


@dataclass(frozen=True)
class Run:
    """One run of a task."""

    entry: str
    due: float
    """The due time that it is for; of a message that does not say so, when it was sent."""
    task_id: str
    at: float
    sent: float


@dataclass(frozen=True)
class Publishing:
    """What one beat did for one tick."""

    entry: str
    due: float | None
    pid: int
    at: float
    """When it had the claim."""
    after: float | None = None
    """The moment from which the entry counted to this due time, by the record in the store."""
    begun: bool = False
    """It set out to publish it."""
    published: float | None = None
    confirmed: float | None = None
    failed: bool = False
    """The broker did not take it."""


@dataclass(frozen=True)
class End:
    """The end of a beat."""

    pid: int
    at: float
    how: str
    """One of `ENDS`."""
    beat: str = ""
    more: str = ""


@dataclass(frozen=True)
class Span:
    """Some time: of a store that was out, or of a beat that was paused."""

    start: float
    end: float
    pid: int = 0


@dataclass(frozen=True)
class History:
    """All of a run."""

    began: float
    """When all beats were up."""
    ended: float
    runs: Sequence[Run] = ()
    publishings: Sequence[Publishing] = ()
    ends: Sequence[End] = ()
    pauses: Sequence[Span] = ()
    stills: Sequence[Span] = ()
    """When the whole machine stood still."""
    outages: Sequence[Span] = ()
    faults: Sequence[str] = field(default_factory=tuple)

    def end_of(self, pid: int) -> End | None:
        """How that beat ended."""
        return next((end for end in self.ends if end.pid == pid), None)


def history_of(lines: Sequence[dict[str, Any]]) -> History:
    """Read the lines of a book."""
    return History(
        began=next((line["at"] for line in lines if line["what"] == "began"), 0.0),
        ended=next((line["at"] for line in lines if line["what"] == "ended"), 0.0),
        runs=tuple(sorted(_runs(lines), key=lambda run: run.at)),
        publishings=tuple(_publishings(lines)),
        ends=tuple(_ends(lines)),
        pauses=tuple(_spans(lines, "paused", "resumed")),
        stills=tuple(
            Span(line["at"], line["until"]) for line in lines if line["what"] == "stood still"
        ),
        outages=tuple(_spans(lines, "outage", "outage over")),
        faults=tuple(
            line["fault"] if line["what"] == "fault" else f"{line['fault']}, left out"
            for line in lines
            if line["what"] in ("fault", "left out")
        ),
    )


def _runs(lines: Sequence[dict[str, Any]]) -> Iterator[Run]:
    for line in lines:
        if line["what"] == "ran":
            sent = line.get("sent", line["at"])
            due = sent if line["due"] is None else line["due"]
            yield Run(line["entry"], due, line["task_id"], line["at"], sent)


def _publishings(lines: Sequence[dict[str, Any]]) -> list[Publishing]:
    """Put together what each beat said of a tick; one beat is at one tick at a time."""
    open_: dict[tuple[int, str], Publishing] = {}
    done: list[Publishing] = []
    for line in lines:
        what, key = line["what"], (line.get("pid", 0), line.get("entry", ""))
        known = open_.get(key)
        if what == "claimed" or (what == "publishing" and (known is None or known.begun)):
            if known is not None:
                done.append(known)
            after = line.get("after")
            known = Publishing(line["entry"], line["due"], line["pid"], line["at"], after)
        if known is None:
            continue
        if what == "publishing":
            known = replace(known, begun=True)
        elif what in ("published", "confirmed"):
            known = replace(known, **{what: line["at"]})
        elif what == "failed":
            known = replace(known, failed=True)
        open_[key] = known
    return sorted([*done, *open_.values()], key=lambda one: one.at)


def _ends(lines: Sequence[dict[str, Any]]) -> Iterator[End]:
    for line in lines:
        if line["what"] in ENDS:
            more = line.get("point") or line.get("log") or ""
            yield End(line["pid"], line["at"], line["what"], line.get("beat", ""), more)


def _spans(lines: Sequence[dict[str, Any]], first: str, last: str) -> Iterator[Span]:
    """From each first to the next last of the same process; one that is open ends with the book."""
    for number, line in enumerate(lines):
        if line["what"] == first:
            pid = line.get("pid", 0)
            ends = [
                later["at"]
                for later in lines[number:]
                if later["what"] == last and later.get("pid", 0) == pid
            ]
            yield Span(line["at"], ends[0] if ends else lines[-1]["at"], pid)
