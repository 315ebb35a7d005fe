"""A small record that many want to change, the wish to change it, and the answer."""

from __future__ import annotations

from dataclasses import dataclass

from .durations import checked

__all__ = ["Change", "Changed", "Record"]


@dataclass(frozen=True)
class Record:
    """A small record as it stands in a store."""

    stamp: str
    """Which version of it: a word of whoever wrote it."""
    value: str
    written: float
    """When it became this version, in seconds since 1970 by the store's clock."""


@dataclass(frozen=True)
class Change:
    """The wish to write a record, if it still is as expected.

    Give each change a `stamp` that no other has: one that is asked for again, because its answer
    was lost, is known by its stamp and value.
    """

    space: str
    """Records of one space are kept together, and can be listed: `beat:shop`, say."""
    name: str
    expected: str | None
    """The stamp that the record must have; `None`: there must be none."""
    stamp: str
    """The new one."""
    value: str
    """What it says: some kilobytes at most."""
    ttl: float
    """Seconds that the record lives unless it is changed again. Longer costs memory for what
    nobody asks for any more; shorter forgets what somebody may still count on."""
    not_before: float = 0.0
    """Refuse it before this time: seconds since 1970 by the store's clock."""

    def __post_init__(self) -> None:
        checked(self.ttl, "ttl")


@dataclass(frozen=True)
class Changed:
    """The answer to a change."""

    done: bool
    record: Record | None
    """As it stands now, after the change if it was done; `None`: there is none."""
    now: float
    """The store's clock at the answer, in seconds since 1970."""
