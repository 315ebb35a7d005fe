"""What happened to a lock, as frozen facts, from which log, signals, events and counters come."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from ..model import Decision, Holder, LossReason

__all__ = [
    "Acquired",
    "Conflicted",
    "CopyDropped",
    "Fact",
    "Lost",
    "Released",
    "StoreFailed",
    "Subject",
    "SwitchedOff",
]


class Subject(NamedTuple):
    """Which task a fact is about; where a key is held outside a task, it has no name and no id.

    A tuple, since each run makes one: a frozen dataclass takes three times as long to make.
    """

    task: str
    """Its registered name; empty for `hold()`."""
    task_id: str
    """Empty for `hold()`."""
    template: str
    """The key's template: what metrics are labelled by, since keys are without number."""


@dataclass(frozen=True)
class Fact:
    """One thing that happened to one key. Reads as `fact.task`, `fact.key`, ..."""

    _: KW_ONLY
    key: str
    subject: Subject

    @property
    def task(self) -> str:
        return self.subject.task

    @property
    def task_id(self) -> str:
        return self.subject.task_id


@dataclass(frozen=True)
class Acquired(Fact):
    """A claim was granted."""

    holder: str
    token: int | None
    """`None`: the store has no tokens."""
    waited: float
    """Seconds that the claim blocked its pool process or thread: 0 unless the policy was `wait`."""
    slot: int | None = None
    """Which permit of the key it is; `None`: the lock has one."""


@dataclass(frozen=True)
class Conflicted(Fact):
    """A claim met a holder, and this was decided."""

    holder: Holder
    attempt: int
    decision: Decision
    expires_in: float
    live: bool = True
    """`False`: the lease of the holder has ended, and only `at_least` keeps the key taken."""
    waited_out: bool = False
    """Another decision came to its end before this one, and without the key."""
    holders: tuple[Holder, ...] = ()
    """All who have a permit of the key; `holder` is the one whose permit comes free first."""


@dataclass(frozen=True)
class CopyDropped(Fact):
    """A message was not run: it is a copy of one that was completed."""

    publication: str
    """The act of publishing that both go back to."""


@dataclass(frozen=True)
class Lost(Fact):
    """A lease ended under its running body. There is one for a lease at most."""

    holder: str
    token: int | None
    reason: LossReason
    by: str | None
    slot: int | None = None
    """Which permit of the key it was; `None`: the lock has one."""


@dataclass(frozen=True)
class Released(Fact):
    """A holder gave its key back."""

    holder: str
    token: int | None
    held: float
    """Seconds from the acquire to the release."""
    in_time: bool
    """`False`: the lease had ended before."""
    slot: int | None = None
    """Which permit of the key it was; `None`: the lock has one, or it was freed for a dead
    holder."""


@dataclass(frozen=True)
class SwitchedOff(Fact):
    """A run went on without its lock, since its call said `lock=None`."""


@dataclass(frozen=True)
class StoreFailed(Fact):
    """The store gave no answer to a call, or refused it."""

    url: str
    """Without a password."""
    call: str
    """`acquire`, `renew`, `release`, `complete` or `undo`; `tick` for what a beat asks."""
    error: str
    answer: str
    """What is done about it: `requeue`, `run` or `fail` for an acquire, `wait` or `fire` for a
    tick, `retry` for the others."""
