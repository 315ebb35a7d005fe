"""How far an entry has come: what its record in the store says, version by version.

`last` is the last run that was confirmed; a tick is its successor. An open claim says that
somebody is about to publish that tick, or has just done it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..model import Record

__all__ = ["NOBODY", "SAME", "Claimed", "LastRun", "Progress"]

NOBODY = ""
"""By whom a tick is claimed that its claimer has given up: it was not published."""


_YEAR_9000 = 221_845_392_000.0


@dataclass(frozen=True)
class LastRun:
    """The last confirmed run of an entry, and which one it was. The two move as a pair."""

    at: float
    """Seconds since 1970: from here the schedule counts to the next slot."""
    count: int
    guessed: bool = False
    """Nobody knew of a run: it is the time at which a beat first heard of the entry."""

    def is_after(self, other: LastRun) -> bool:
        """Whether this one is to be believed rather than the other.

        The later one is; but whoever remembers a run knows better than who guesses, for a store
        may lose its memory while a new beat starts.
        """
        return (not self.guessed, self.at) > (not other.guessed, other.at + SAME)


SAME = 1e-5
"""Seconds that a moment may differ when it has been through a database and is still the same."""


@dataclass(frozen=True)
class Claimed:
    """An open claim on the successor of the last run."""

    due: float
    """The slot that is published: a label, the same for whoever publishes it."""
    reach: float
    """What `LastRun.at` becomes with the confirm."""
    by: str
    """The beat: `host#pid#nonce`, or nobody."""
    lives: float
    """Seconds from when it was written until another beat may publish the tick."""
    tries: int = 1


@dataclass(frozen=True)
class Progress:
    """One version of an entry's record."""

    last: LastRun
    claimed: Claimed | None = None
    then: float | None = None
    """The slot after the last run, as seen by whoever wrote it down: for people to read."""

    @property
    def stamp(self) -> str:
        """The version's name. Who knows the last run can tell the stamp of its quiet record."""
        quiet = f"{_micro(self.last.at)}.{self.last.count}"
        claimed = self.claimed
        if claimed is None:
            return quiet
        given_up = "-" if claimed.by == NOBODY else ""
        return f"{quiet}+{_micro(claimed.due)}.{claimed.tries}{given_up}"

    def write(self) -> str:
        """Return the text that is kept in the store."""
        text: dict[str, Any] = {"last": self.last.at, "count": self.last.count}
        if self.last.guessed:
            text["guessed"] = True
        if self.then is not None:
            text["next"] = self.then
        if self.claimed is not None:
            text["claim"] = vars(self.claimed)
        return json.dumps(text)

    @classmethod
    def read(cls, record: Record | None) -> Progress | None:
        """Read what stands in the store; `None` if nothing does, or nothing of ours."""
        if record is None:
            return None
        try:
            text = json.loads(record.value)
            claim = text.get("claim")
            then = text.get("next")
            return cls(
                last=LastRun(
                    _moment(text["last"]), int(text["count"]), text.get("guessed") is True
                ),
                claimed=None
                if claim is None
                else Claimed(
                    due=_moment(claim["due"]),
                    reach=_moment(claim["reach"]),
                    by=str(claim["by"]),
                    lives=_moment(claim["lives"]),
                    tries=int(claim["tries"]),
                ),
                then=None if then is None else _moment(then),
            )
        except (ValueError, OverflowError, TypeError, KeyError, AttributeError):
            return None


def _moment(value: Any) -> float:
    """Read seconds; raises `ValueError` for what no clock can show."""
    seconds = float(value)
    if not 0 <= seconds < _YEAR_9000:
        raise ValueError(value)
    return seconds


def _micro(seconds: float) -> int:
    return round(seconds * 1e6)
