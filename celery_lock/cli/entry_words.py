"""What `lock beat` prints about entries: words for people, fields for programs."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from ..beat.beat_id import host_and_pid
from ..beat.entry_record import NOBODY, OpenClaim
from ..errors import span
from ..events.plain_text import moment, plain
from .seen_entries import SeenEntry

__all__ = ["block", "entry_fields", "table"]

_HEAD = ("entry", "last run", "runs", "next", "")
_WIDEST = 48
"""Characters of a column at most: one long name shall not push all others off the screen."""


def table(entries: list[SeenEntry], zone: tzinfo) -> str:
    """Show many entries, a line each."""
    rows = [_HEAD, *(_row(each, zone) for each in entries)]
    widths = [min(_WIDEST, max(map(len, column))) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def block(entry: SeenEntry, zone: tzinfo) -> str:
    """Show one entry, a line for each thing there is to know."""
    lines = [("state", _state(entry, zone))]
    if entry.last is not None:
        lines = [
            ("last run", _last(entry, zone)),
            ("runs", str(entry.last.count)),
            ("next", _next(entry, zone)),
            *lines,
        ]
    return "\n".join([f"entry {entry.name!r}", *(f"  {name:<9} {value}" for name, value in lines)])


def entry_fields(entry: SeenEntry) -> dict[str, Any]:
    """Return what a program reads of an entry: every field is always there."""
    last, claim = entry.last, entry.claim
    host, pid = (None, None) if claim is None else host_and_pid(claim.by)
    return {
        "name": entry.name,
        "state": entry.state,
        "last_run": None if last is None or _never(entry) else last.at,
        "counted_from": last.at if last is not None and _never(entry) else None,
        "runs": None if last is None else last.count,
        "next": entry.next_due,
        "overdue": entry.late or None,
        "due": None if claim is None else claim.due,
        "by": None if claim is None or claim.by == NOBODY else claim.by,
        "host": host,
        "pid": pid,
        "until": entry.until,
        "try": None if claim is None else claim.tries,
        "declared": entry.declared,
        "now": entry.now,
    }


def _row(entry: SeenEntry, zone: tzinfo) -> tuple[str, ...]:
    name, said = plain(entry.name), _state(entry, zone)
    if entry.last is None:
        return (name, "", "", "", said)
    if _never(entry):
        said = "; ".join(filter(None, [said, f"counted from {moment(entry.last.at, zone)}"]))
    run = "never" if _never(entry) else moment(entry.last.at, zone)
    return (name, run, str(entry.last.count), _next(entry, zone), said)


def _state(entry: SeenEntry, zone: tzinfo) -> str:
    if entry.state == "unread":
        return "no beat has read it yet"
    if entry.state == "unreadable":
        return "its record cannot be read: another program wrote it, and the next beat replaces it"
    late = f"OVERDUE by {span(entry.late)}" if entry.late else ""
    if late and not entry.declared:
        late += ", if it still exists"  # a record outlives the entry that was taken out
    if entry.claim is not None and entry.until is not None:
        return ", ".join(filter(None, [late, _claim(entry.claim, moment(entry.until, zone))]))
    if late or entry.next_due is None:
        return late
    return f"in {span(max(0.0, entry.next_due - entry.now))}"


def _claim(claim: OpenClaim, until: str) -> str:
    tries = f", try {claim.tries}" if claim.tries > 1 else ""
    if claim.by == NOBODY:
        return f"given up unpublished{tries}; open to every beat from {until}"
    return f"claimed by {_who(claim)}{tries} until {until}"


def _last(entry: SeenEntry, zone: tzinfo) -> str:
    assert entry.last is not None
    ago = f"{moment(entry.last.at, zone)}, {span(max(0.0, entry.now - entry.last.at))} ago"
    return f"never; counted from {ago}" if _never(entry) else ago


def _next(entry: SeenEntry, zone: tzinfo) -> str:
    if entry.claim is not None:
        return moment(entry.claim.due, zone)
    return "unknown" if entry.next_due is None else moment(entry.next_due, zone)


def _never(entry: SeenEntry) -> bool:
    return entry.last is not None and (entry.last.guessed or not entry.last.count)


def _who(claim: OpenClaim) -> str:
    host, pid = host_and_pid(claim.by)
    return plain(claim.by) if host is None else f"{plain(host)} (pid {pid})"
