"""The one table of what each fact becomes: log line, signal, event, counter.

Signals, events, counters and log lines are made from it, and `docs/reference/events.md` shows it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..model import Decision
from ..policies import fail, requeue, skip, wait
from .facts import Acquired, Conflicted, CopyDropped, Fact, Lost, Released, StoreFailed

__all__ = ["TABLE", "Budget", "Line", "Told", "as_label", "told"]


@dataclass(frozen=True, eq=False)
class Budget:
    """How many lines a minute are written in a process; those left out are counted."""

    a_minute: int
    each: tuple[str, ...] = ()
    """Fields of the fact: the number holds for each of their values by itself."""


@dataclass(frozen=True)
class Line:
    """At what level one case of a fact is logged."""

    when: str
    level: int
    is_case: Callable[[Any], bool] | None = None
    """`None`: it always is."""
    budget: Budget | None = None
    """Shared by all lines that name the same one; `None`: every line is written."""


@dataclass(frozen=True)
class Told:
    """Everything that one kind of fact becomes."""

    fact: type[Fact]
    lines: tuple[Line, ...]
    """The first whose case it is counts."""
    signal: str
    event: str
    counter: str
    labels: tuple[str, ...] = ()
    """Of the counter, besides `task` and `template`: fields of the fact with few values."""

    def line(self, fact: Fact) -> Line:
        """How this one is logged."""
        for line in self.lines:
            if line.is_case is None or line.is_case(fact):
                return line
        raise LookupError(f"no line for {fact!r}")


def _any(kind: type[Decision]) -> Callable[[Conflicted], bool]:
    return lambda fact: isinstance(fact.decision, kind)


def _first(kind: type[Decision]) -> Callable[[Conflicted], bool]:
    return lambda fact: isinstance(fact.decision, kind) and fact.attempt == 1


# Losses have a budget of their own: a burst of conflicts must not hide them.
_CONFLICTS = Budget(100)
_LOSSES = Budget(100)
_LATE = Budget(100)
_STORE = Budget(1, each=("url", "call"))

TABLE = (
    Told(
        Acquired,
        (Line("a claim was granted", logging.DEBUG),),
        signal="lock_acquired",
        event="task-lock-acquired",
        counter="celery_lock_acquired_total",
    ),
    Told(
        Conflicted,
        (
            Line("the key is taken: `skip()`", logging.INFO, _any(skip), _CONFLICTS),
            Line("the key is taken: `fail()`", logging.INFO, _any(fail), _CONFLICTS),
            Line(
                "the key is taken: `requeue()`, the first time",
                logging.INFO,
                _first(requeue),
                _CONFLICTS,
            ),
            Line("the key is taken: `requeue()`, again", logging.DEBUG, _any(requeue), _CONFLICTS),
            Line(
                "the key is taken: `wait()`, the first time", logging.INFO, _first(wait), _CONFLICTS
            ),
            Line("the key is taken: `wait()`, again", logging.DEBUG, _any(wait), _CONFLICTS),
        ),
        signal="lock_conflicted",
        event="task-lock-conflicted",
        counter="celery_lock_conflicted_total",
        labels=("decision",),
    ),
    Told(
        CopyDropped,
        (Line("a message is a copy of one that was completed", logging.INFO, budget=_CONFLICTS),),
        signal="lock_copy_dropped",
        event="task-lock-copy-dropped",
        counter="celery_lock_copy_dropped_total",
    ),
    Told(
        Lost,
        (Line("a lease ended under its running body", logging.WARNING, budget=_LOSSES),),
        signal="lock_lost",
        event="task-lock-lost",
        counter="celery_lock_lost_total",
        labels=("reason",),
    ),
    Told(
        Released,
        (
            Line("a key was given back", logging.DEBUG, lambda fact: fact.in_time),
            Line("the same, after its lease had ended", logging.WARNING, budget=_LATE),
        ),
        signal="lock_released",
        event="task-lock-released",
        counter="celery_lock_released_total",
    ),
    Told(
        StoreFailed,
        (Line("the store gave no answer, or refused", logging.ERROR, budget=_STORE),),
        signal="lock_store_failed",
        event="task-lock-store-failed",
        counter="celery_lock_store_failed_total",
        labels=("call", "answer"),
    ),
)

_BY_FACT = {row.fact: row for row in TABLE}


def told(fact: Fact) -> Told:
    """Return the row of a fact."""
    return _BY_FACT[type(fact)]


def as_label(value: object) -> str:
    """Write a field of a fact as a counter's label or an event's word."""
    if isinstance(value, Decision):
        return type(value).__name__
    return str(value)
