"""The one table of what each fact becomes: log line, signal, event, counter.

Signals, events, counters and log lines are made from it, and `docs/reference/events.md` shows it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..model import Decision
from ..policies import KINDS
from .facts import (
    Acquired,
    Conflicted,
    CopyDropped,
    Fact,
    Lost,
    Released,
    StoreFailed,
    SwitchedOff,
)

__all__ = [
    "ORDINARY_LEVEL",
    "TABLE",
    "Budget",
    "FactRow",
    "LogRule",
    "as_label",
    "conflict_rules",
    "row_of",
]


@dataclass(frozen=True, eq=False)
class Budget:
    """How many lines a minute are written in a process; those left out are counted."""

    a_minute: int
    each: tuple[str, ...] = ()
    """Fields of the fact: the number holds for each of their values by itself."""


@dataclass(frozen=True)
class LogRule:
    """The level and the budget at which one case of a fact is logged."""

    when: str
    level: int
    is_case: Callable[[Any], bool] | None = None
    """Whether a fact is this case; `None`: every fact is."""
    budget: Budget | None = None
    """Shared by all rules that name the same one; `None`: every record is written."""


@dataclass(frozen=True)
class FactRow:
    """Everything that one kind of fact becomes."""

    fact: type[Fact]
    rules: tuple[LogRule, ...]
    """How the fact is logged: the first rule whose case it is counts."""
    signal: str
    event: str
    counter: str
    labels: tuple[str, ...] = ()
    """Of the counter, besides `task` and `template`: fields of the fact with few values."""

    def rule(self, fact: Fact) -> LogRule:
        """Return the rule by which `fact` is logged."""
        for rule in self.rules:
            if rule.is_case is None or rule.is_case(fact):
                return rule
        raise LookupError(f"no rule for {fact!r}")


def _any(kind: type[Decision]) -> Callable[[Conflicted], bool]:
    return lambda fact: isinstance(fact.decision, kind)


def _first(kind: type[Decision]) -> Callable[[Conflicted], bool]:
    return lambda fact: isinstance(fact.decision, kind) and fact.attempt == 1


# Losses have a budget of their own: a burst of conflicts must not hide them.
_CONFLICTS = Budget(100)
_LOSSES = Budget(100)
_LATE = Budget(100)
_OFF = Budget(100)
_STORE = Budget(1, each=("url", "call"))


def conflict_rules(kinds: Iterable[type[Decision]]) -> Iterator[LogRule]:
    """Yield the rules of conflicts: what a message may meet again is news the first time only."""
    for kind in kinds:
        when = f"the key is taken: `{kind.word}()`"
        if not kind.repeats:
            yield LogRule(when, logging.INFO, _any(kind), _CONFLICTS)
            continue
        yield LogRule(f"{when}, the first time", logging.INFO, _first(kind), _CONFLICTS)
        yield LogRule(f"{when}, again", logging.DEBUG, _any(kind), _CONFLICTS)


TABLE = (
    FactRow(
        Acquired,
        (LogRule("a claim was granted", logging.DEBUG),),
        signal="lock_acquired",
        event="lock-acquired",
        counter="celery_lock_acquired_total",
    ),
    FactRow(
        Conflicted,
        tuple(conflict_rules(KINDS)),
        signal="lock_conflicted",
        event="lock-conflicted",
        counter="celery_lock_conflicted_total",
        labels=("decision",),
    ),
    FactRow(
        CopyDropped,
        (
            LogRule(
                "a message is a copy of one that was completed", logging.INFO, budget=_CONFLICTS
            ),
        ),
        signal="lock_copy_dropped",
        event="lock-copy-dropped",
        counter="celery_lock_copy_dropped_total",
    ),
    FactRow(
        Lost,
        (LogRule("a lease ended under its running body", logging.WARNING, budget=_LOSSES),),
        signal="lock_lost",
        event="lock-lost",
        counter="celery_lock_lost_total",
        labels=("reason",),
    ),
    FactRow(
        Released,
        (
            LogRule("a key was given back", logging.DEBUG, lambda fact: fact.in_time),
            LogRule("the same, after its lease had ended", logging.WARNING, budget=_LATE),
        ),
        signal="lock_released",
        event="lock-released",
        counter="celery_lock_released_total",
    ),
    FactRow(
        StoreFailed,
        (LogRule("the store gave no answer, or refused", logging.ERROR, budget=_STORE),),
        signal="lock_store_failed",
        event="lock-store-failed",
        counter="celery_lock_store_failed_total",
        labels=("call", "answer"),
    ),
    FactRow(
        SwitchedOff,
        (LogRule("a call said `lock=None`", logging.INFO, budget=_OFF),),
        signal="lock_switched_off",
        event="lock-switched-off",
        counter="celery_lock_switched_off_total",
    ),
)

_BY_FACT = {row.fact: row for row in TABLE}

ORDINARY_LEVEL = {row.fact: row.rules[0].level for row in TABLE}
"""The level of an ordinary fact of each kind: one that the first rule of its row is for."""


def row_of(fact: Fact) -> FactRow:
    """Return the row of a fact."""
    return _BY_FACT[type(fact)]


def as_label(value: object) -> str:
    """Write a field of a fact as a counter's label or an event's word."""
    return value.word if isinstance(value, Decision) else str(value)
