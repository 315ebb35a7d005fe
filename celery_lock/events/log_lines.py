"""What happened, as lines on the logger `celery_lock`, within their budgets.

Levels and budgets are in `celery_lock.events.table`. One that is used up is silent for a minute;
after it one line says how many were left out, at the next fact of any kind or at the end of the
process.
"""

from __future__ import annotations

import atexit
import logging
import math
from collections import deque
from dataclasses import dataclass, field

from ..model.clock import Clock, steady
from ..model.mutex import new_mutex
from ..model.per_process import PerProcess
from .facts import Fact
from .log_fields import log_fields
from .log_words import words
from .table import ORDINARY_LEVEL, Budget, LogRule, row_of
from .unwritten import write

__all__ = ["LogLines", "log_lines"]

_MINUTE = 60.0


class LogLines:
    """An observer that writes lines. Threads may share it; a forked child has its own budgets."""

    def __init__(self, clock: Clock = steady, logger: logging.Logger | None = None) -> None:
        """`clock` is what a minute is measured with, `logger` by default `celery_lock`."""
        self._clock = clock
        self._logger = logger or logging.getLogger("celery_lock")
        self._own = PerProcess(_Budgets)

    def __call__(self, fact: Fact) -> None:
        """Write the line of one fact, and the sums that are due."""
        rule, own = row_of(fact).rule(fact), self._own.value
        if own.due < math.inf:
            now = self._clock()
            if own.due <= now:
                self._write_sums(own, now)
        if not self._logger.isEnabledFor(rule.level):
            return
        if rule.budget is None or self._may(own, rule, rule.budget, fact):
            # outside the mutex: a handler may be slow, or come to a lock itself
            write(self._logger, rule.level, *words(fact), extra=log_fields(fact))

    def wants(self, kind: type[Fact]) -> bool:
        """Whether an ordinary fact of this kind has a line, or a sum waits for the next fact."""
        return self._own.value.due < math.inf or self._logger.isEnabledFor(ORDINARY_LEVEL[kind])

    def flush(self) -> None:
        """Say now how many lines were left out: for the end of a process."""
        self._write_sums(self._own.value, math.inf)

    def _may(self, own: _Budgets, rule: LogRule, budget: Budget, fact: Fact) -> bool:
        share = (budget, *(getattr(fact, name) for name in budget.each))
        with own.mutex:
            spent = own.spent.setdefault(share, _Spent(budget))
            if spent.spend(self._clock()):
                return True
            spent.leave_out(rule.level, fact)
            own.due = min(own.due, spent.silent_until)
            return False

    def _write_sums(self, own: _Budgets, now: float) -> None:
        with own.mutex:
            owing = [spent for spent in own.spent.values() if spent.latest is not None]
            sums = [spent.sum_up() for spent in owing if spent.silent_until <= now]
            own.due = min((s.silent_until for s in owing if s.latest is not None), default=math.inf)
        for level, message, values, extra in sums:
            write(self._logger, level, message, *values, extra=extra)


class _Budgets:
    """How much of each budget one process has spent, and what guards it."""

    def __init__(self) -> None:
        self.mutex = new_mutex()
        self.spent: dict[tuple[object, ...], _Spent] = {}
        self.due = math.inf
        """When the next sum may be written, by the clock."""


@dataclass
class _Spent:
    """How much of a budget is gone. Guarded by its owner."""

    budget: Budget
    times: deque[float] = field(default_factory=deque)
    """Of the latest lines, no more than the budget has."""
    silent_until: float = -math.inf
    left_out: int = 0
    level: int = logging.DEBUG
    latest: Fact | None = None

    def spend(self, now: float) -> bool:
        """True if one more line may be written."""
        if now < self.silent_until:
            return False
        self.times.append(now)
        if len(self.times) > self.budget.a_minute:
            self.times.popleft()
        if len(self.times) == self.budget.a_minute and self.times[0] > now - _MINUTE:
            # a whole minute from here: then no minute has more than its lines, nor a second sum
            self.silent_until = now + _MINUTE
        return True

    def leave_out(self, level: int, fact: Fact) -> None:
        """Count a line that was not written."""
        self.left_out += 1
        self.level = max(self.level, level)
        self.latest = fact

    def sum_up(self) -> tuple[int, str, tuple[object, ...], dict[str, object]]:
        """Return level, template, values and fields of the sum, and begin to count again."""
        assert self.latest is not None
        message, *values = words(self.latest)
        level = min(self.level, logging.WARNING)  # a sum of errors is no further error
        lines = "line like this one was" if self.left_out == 1 else "lines like this one were"
        summed = (
            level,
            f"%d more {lines} left out, to write at most %d a minute: {message}",
            (self.left_out, self.budget.a_minute, *values),
            {**log_fields(self.latest), "left_out": self.left_out},
        )
        self.left_out, self.level, self.latest = 0, logging.DEBUG, None
        return summed


log_lines = LogLines()
"""The lines of this process, of all its apps."""

atexit.register(log_lines.flush)
