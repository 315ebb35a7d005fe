"""What happened, as frozen facts, and the observers that are notified of them.

The engine only makes facts; log lines, signals, events and counters are made by observers.
An observer that raises hurts nobody: not the task, not the other observers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from ..model import Decision, Holder, LossReason

__all__ = [
    "Acquired",
    "Conflicted",
    "CopyDropped",
    "Fact",
    "Lost",
    "Observer",
    "Observers",
    "Released",
    "StoreFailed",
    "Subject",
]

logger = logging.getLogger("celery_lock")


@dataclass(frozen=True)
class Subject:
    """Which task a fact is about."""

    task: str
    """Its registered name."""
    task_id: str
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
    token: int
    waited: float
    """Seconds that the claim blocked its pool process or thread: 0 unless the policy was `wait`."""


@dataclass(frozen=True)
class Conflicted(Fact):
    """A claim met a holder, and this was decided."""

    holder: Holder
    attempt: int
    decision: Decision
    expires_in: float


@dataclass(frozen=True)
class CopyDropped(Fact):
    """A message was not run: it is a copy of one that was completed."""

    publication: str
    """The act of publishing that both go back to."""


@dataclass(frozen=True)
class Lost(Fact):
    """A lease ended under its running body. There is one for a lease at most."""

    holder: str
    token: int
    reason: LossReason
    by: str | None


@dataclass(frozen=True)
class Released(Fact):
    """A holder gave its key back."""

    holder: str
    token: int
    held: float
    """Seconds from the acquire to the release."""
    in_time: bool
    """`False`: the lease had ended before."""


@dataclass(frozen=True)
class StoreFailed(Fact):
    """The store gave no answer to a call, or refused it."""

    url: str
    """Without a password."""
    call: str
    """`acquire`, `renew`, `release` or `undo`; `tick` for what a beat asks."""
    error: str
    answer: str
    """What is done about it: `requeue`, `run` or `fail` for an acquire, `wait` or `fire` for a
    tick, `retry` for the others."""


Observer = Callable[[Fact], None]


class Observers:
    """The observers of an app, notified in the order in which they were added."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = list(observers)

    def add(self, observer: Observer) -> None:
        """Notify `observer` as well, from now on."""
        self._observers.append(observer)

    def notify(self, fact: Fact) -> None:
        """Call every observer with `fact`; never raises."""
        for observer in self._observers:
            try:
                observer(fact)
            except Exception:
                logger.exception("an observer failed on %s", type(fact).__name__)
