"""Asks an entry whether it is due, on the store's clock; one that paces itself keeps its pace."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from .clock import StoreClock
from .entries import due_times_of, on_clock
from .entry_record import LastRun

__all__ = ["SOON", "Asking"]

SOON = 0.05
"""Seconds that a beat sleeps at least where it has no better answer: no busy loop."""


class Asking:
    """Asks the entries of one scheduler.

    Args:
        ask: takes an entry, and says whether it is due and when to ask it again, as Celery does.
        longest: seconds after which an entry is asked again that does not say when.
    """

    def __init__(
        self, ask: Callable[[Any], tuple[Any, Any]], clock: StoreClock, longest: float
    ) -> None:
        self.longest = longest
        self._entry_says = ask
        self._clock = clock
        self._rests: dict[str, tuple[LastRun, float]] = {}

    def ask(self, entry: Any, last: LastRun) -> tuple[bool, float]:
        """Return whether an entry is due after its last run, and when to ask it again."""
        with on_clock(entry, self._clock.now):
            due, delay = self._entry_says(entry)
        if isinstance(delay, (int, float)):
            delay = max(0.0, delay)
        else:  # the entry does not say: Celery asks at once after a run, and else when it has to
            delay = SOON if due else self.longest
        rest = self._rest_of(entry, last) if due else None
        return (bool(due), delay) if rest is None else (False, rest)

    def _rest_of(self, entry: Any, last: LastRun) -> float | None:
        """Return the seconds for which an entry is not due though it says so; `None`: it is."""
        now = self._clock.now()
        rests_after, until = self._rests.get(entry.name, (None, 0.0))
        if until > now and rests_after == last:
            return until - now
        return due_times_of(entry, now).left_in_repeated_hour(last.at)

    def let_rest(self, entry: Any, last: LastRun, delay: float) -> float:
        """Take an entry for not due, for the delay that it has answered with.

        Such an entry is due whatever its last run was, so that delay is all its pace: here as in
        the beat that has published it.
        """
        self._rests[entry.name] = (last, self._clock.now() + delay)
        return delay

    def forget_others(self, names: Collection[str]) -> None:
        """Forget the pace of all entries but these."""
        self._rests = {name: rest for name, rest in self._rests.items() if name in names}
