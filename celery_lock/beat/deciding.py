"""Whether an entry is due, and whether its tick is for this beat to publish."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..app.start_checks import warn_of_name
from ..errors import StoreError
from .asking import SOON, Asking
from .entries import counts_its_runs, due_times_of, known_run, run_of, set_run, start_of
from .entry_record import LastRun
from .ledger import Ledger
from .situation import Situation, Step, is_old
from .ticks import RetryAfter, Stale, Tick

__all__ = ["Deciding"]

_TRIES = 3
"""How often a decision is made anew when other beats go on meanwhile."""


class Deciding:
    """Decides for the entries of one scheduler.

    A decision has three parts: the entry is asked, which gives a `Situation`; what to do follows
    from that value alone; then the ledger is asked, and what it says may be news.

    Args:
        ask: takes an entry, and says whether it is due and when to ask it again, as Celery does.
        fires: entries that are due are published while the store gives no answer.
        longest: seconds after which an entry is asked again that does not say when.
    """

    def __init__(
        self,
        ledger: Ledger,
        ask: Callable[[Any], tuple[Any, Any]],
        *,
        fires: bool,
        longest: float,
    ) -> None:
        self.ledger = ledger
        self.fires = fires
        self._views = ledger.views
        self._asking = Asking(ask, ledger.clock, longest)
        self._unread = False
        self._shown: dict[str, LastRun | None] = {}

    # -- what is known of entries ------------------------------------------------------------

    def load(self, entries: list[Any]) -> None:
        """Read what the store knows of entries; one that cannot be read is read when it is due."""
        names = {entry.name for entry in entries}
        self._views.forget_others(names)
        self._asking.forget_others(names)
        self._shown = {name: run for name, run in self._shown.items() if name in names}
        new = [entry for entry in entries if not self._views.knows(entry.name)]
        for entry in new:
            warn_of_name(entry.name)
        with suppress(StoreError):  # the observers have been notified
            self._read(new)
        self._unread = self.ledger.calls.open_for > 0
        for entry in entries:
            if self._views.knows(entry.name):
                self._go_on(entry)

    def should_load(self) -> bool:
        """Whether a store that was silent at the last load answers again.

        Some hundred entries are read in a call then, and not each by itself as it comes due.
        """
        return self._unread and not self.ledger.calls.open_for

    def show_last_run(self, entry: Any) -> None:
        """Let an entry know its last run, and the row behind it too if that run is confirmed."""
        view = self._views.of(entry.name)
        set_run(entry, view.last, sure=view.is_sure)
        self._shown[entry.name] = run_of(entry)

    def _go_on(self, entry: Any) -> None:
        """Let an entry go on from its last run: the ledger's, or a later one of its own."""
        own = known_run(entry)
        if own is not None and own != self._shown.get(entry.name):
            self._views.take_over_run(entry.name, own)
        self.show_last_run(entry)

    def _read(self, entries: list[Any]) -> None:
        """Read what the store knows of these entries. Raises `StoreError`."""
        named = {entry.name: entry for entry in entries}
        now = self.ledger.clock.now
        self._views.load(
            {name: known_run(entry) for name, entry in named.items()},
            lambda name, run: due_times_of(named[name], now()).after(run),
        )

    def _learn(self, entry: Any) -> None:
        """Read the record of an entry that is not known yet. Raises `StoreError`."""
        if self._views.knows(entry.name):
            return
        try:
            self._read([entry])
        except StoreError:
            if not self.fires:
                raise
            now = self.ledger.clock.now()
            self._views.guess(entry.name, known_run(entry) or LastRun(now, 0, guessed=True))

    # -- deciding ----------------------------------------------------------------------------

    def wait_at_most(self, entry: Any) -> float | None:
        """Return in how many seconds an entry has to be asked, whatever it says itself."""
        if self._views.knows(entry.name):
            return self._look_in(entry, self.ledger.clock.now())
        return self._until_asked_again()

    def decide(self, entry: Any) -> tuple[Tick | None, float]:
        """Return the tick to publish, `None` if there is none here; and when to ask again."""
        try:
            self._learn(entry)
            for _ in range(_TRIES):
                self._go_on(entry)
                situation = self._situation(entry)
                if situation.step is Step.SLEEP:
                    return None, situation.sleep
                found = self._ask_ledger(entry, situation)
                if isinstance(found, Tick):
                    found.due_after = situation.next_due(found)
                    return found, situation.delay_after(found, self.ledger.clock.now())
                if isinstance(found, RetryAfter):
                    return None, min(found.seconds, self._delay_while_claimed(entry))
                if situation.due and situation.due_times.ignores_last_run():
                    return None, self._let_rest(entry, situation.delay)
        except StoreError:  # the observers have been notified
            return None, self._until_asked_again()
        return None, SOON

    def _situation(self, entry: Any) -> Situation:
        """Ask an entry that has been shown its last run."""
        view = self._views.of(entry.name)
        due, delay = self._asking.ask(entry, view.last)
        now = self.ledger.clock.now()
        return Situation(
            now=now,
            due=due,
            delay=delay,
            last=view.last,
            is_sure=view.is_sure,
            look_in=self._look_in(entry, now),
            due_times=due_times_of(entry, now),
            start=start_of(entry),
            counts_runs=counts_its_runs(entry),
        )

    def _ask_ledger(self, entry: Any, situation: Situation) -> Tick | RetryAfter | Stale | None:
        """Claim the tick, or look at another beat's claim. Raises `StoreError`."""
        ledger, request = self.ledger, situation.request
        ask = ledger.look if situation.step is Step.LOOK else ledger.claim
        try:
            found = ask(entry.name, request)
            if isinstance(found, Tick) and self._is_of_the_past(entry, found):
                ledger.drop(found)
                return None
            return found
        except StoreError:
            if not situation.due or not self.fires:
                raise
            return ledger.unclaimed(entry.name, request)

    def _is_of_the_past(self, entry: Any, tick: Tick) -> bool:
        """Whether a tick is taken over so late that its entry would not publish it any more."""
        if not is_old(tick, self.ledger.clock.now()):
            return False
        self.show_last_run(entry)
        return self._situation(entry).has_outlived(tick)

    def _delay_while_claimed(self, entry: Any) -> float:
        """Return when to ask an entry again whose tick another beat publishes."""
        self.show_last_run(entry)
        due, delay = self._asking.ask(entry, self._views.of(entry.name).last)
        if not due:
            return delay
        if due_times_of(entry, self.ledger.clock.now()).ignores_last_run():
            return self._let_rest(entry, delay)
        return self._asking.longest  # due again already: it is asked when that claim has ended

    def _let_rest(self, entry: Any, delay: float) -> float:
        """Leave an entry that is due whatever its last run was to the pace that it answers with."""
        self.show_last_run(entry)
        return self._asking.let_rest(entry, self._views.of(entry.name).last, delay)

    def _look_in(self, entry: Any, now: float) -> float | None:
        """Return in how many seconds another beat's claim is to be looked at, if there is one."""
        look_at = self._views.of(entry.name).look_at
        return None if look_at is None else max(0.0, look_at - now)

    def _until_asked_again(self) -> float:
        """Return for how many seconds to leave a store alone that gave no answer."""
        return max(self.ledger.calls.open_for, SOON)
