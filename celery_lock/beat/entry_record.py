"""How far an entry has come: what its record in the store says, version by version.

A record names the last run that was confirmed; the next tick is its successor. An open claim in
the record says that a beat is about to publish that tick, or has just done it. A record without
an open claim is *quiet*.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..model import Record

__all__ = ["NOBODY", "SAME", "EntryRecord", "LastRun", "OpenClaim"]

NOBODY = ""
"""The claimant of a tick that its beat has given up: the tick was not published."""

SAME = 1e-5
"""Seconds that a moment may differ when it has been through a database and is still the same."""

_YEAR_9000 = 221_845_392_000.0


@dataclass(frozen=True)
class LastRun:
    """The last confirmed run of an entry, and which one it was. The two move as a pair."""

    at: float
    """Seconds since 1970: the schedule counts from here to its next due time."""
    count: int
    guessed: bool = False
    """No beat knew of a run: `at` is the time at which a beat first heard of the entry."""

    def is_after(self, other: LastRun) -> bool:
        """Whether this run is to be believed rather than the other.

        The later run is; but a run that a beat remembers beats a guess, for a store may lose its
        memory while a new beat starts.
        """
        return (not self.guessed, self.at) > (not other.guessed, other.at + SAME)


@dataclass(frozen=True)
class OpenClaim:
    """A beat's claim on the tick after the last run, which is not confirmed yet."""

    due: float
    """The tick's due time: its label, the same for whichever beat publishes it."""
    next_base: float
    """The moment that becomes `LastRun.at` with the confirm."""
    by: str
    """The beat, written `host#pid#nonce`; `NOBODY`: it has given the tick up."""
    ttl: float
    """Seconds since the claim was written until another beat may publish the tick."""
    tries: int = 1
    """How often the tick has been claimed, by all beats."""
    sent: tuple[str, ...] = ()
    """The names of those of its messages that were sent, as far as a beat has written them."""


@dataclass(frozen=True)
class EntryRecord:
    """One version of an entry's record."""

    last: LastRun
    claim: OpenClaim | None = None
    next_due: float | None = None
    """The due time after the last run, as the beat saw it that wrote the record: for people."""

    @property
    def stamp(self) -> str:
        """The version's name. A beat that knows the last run knows the quiet record's stamp."""
        quiet = f"{_micro(self.last.at)}.{self.last.count}"
        claim = self.claim
        if claim is None:
            return quiet
        given_up = "-" if claim.by == NOBODY else ""
        sent = f".{len(claim.sent)}" if claim.sent else ""
        return f"{quiet}+{_micro(claim.due)}.{claim.tries}{sent}{given_up}"

    def write(self) -> str:
        """Return the text that the store is given."""
        text: dict[str, Any] = {"last": self.last.at, "count": self.last.count}
        if self.last.guessed:
            text["guessed"] = True
        if self.next_due is not None:
            text["next"] = self.next_due
        if self.claim is not None:
            text["claim"] = {n: v for n, v in vars(self.claim).items() if n != "sent" or v}
        return json.dumps(text)

    @classmethod
    def read(cls, record: Record | None) -> EntryRecord | None:
        """Read what the store has; `None` if there is no record, or one of another program."""
        if record is None:
            return None
        try:
            text = json.loads(record.value)
            next_due = text.get("next")
            return cls(
                last=LastRun(
                    _moment(text["last"]), int(text["count"]), text.get("guessed") is True
                ),
                claim=_claim(text.get("claim")),
                next_due=None if next_due is None else _moment(next_due),
            )
        except (ValueError, OverflowError, TypeError, KeyError, AttributeError):
            return None


def _claim(text: Any) -> OpenClaim | None:
    if text is None:
        return None
    return OpenClaim(
        due=_moment(text["due"]),
        next_base=_moment(text["next_base"]),
        by=str(text["by"]),
        ttl=_moment(text["ttl"]),
        tries=int(text["tries"]),
        sent=tuple(str(name) for name in text.get("sent", ())),
    )


def _moment(value: Any) -> float:
    """Read seconds; raises `ValueError` for what no clock can show."""
    seconds = float(value)
    if not 0 <= seconds < _YEAR_9000:
        raise ValueError(value)
    return seconds


def _micro(seconds: float) -> int:
    return round(seconds * 1e6)
