"""Whether an entry is due, and whether it is for this beat to publish."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..app.start_checks import warn_of_name
from ..errors import StoreError
from .entries import counts_its_runs, known_run, on_clock, run_of, set_run, slots_of, start_of
from .entry_record import SAME, LastRun
from .ledger import Ledger
from .slots import Slots
from .ticks import LONGEST, RetryAfter, Stale, Tick, TickRequest, claim_ttl

__all__ = ["SOON", "Deciding"]

SOON = 0.05
"""Seconds that are slept at least while the store is silent: no busy loop."""

_OLD = 2 * LONGEST
"""Seconds after which a tick that is taken over may be of the past: by then two have had their
turn. Fewer: a tick merges with the next one though a beat was there. More: after an outage an entry
runs for a slot that nobody waits for, and then for the latest."""

_TRIES = 3
"""How often an entry is thought over when other beats move on meanwhile."""


class Deciding:
    """Decides for one scheduler.

    Args:
        ask: is told an entry and says whether it is due and when to ask again, as Celery does.
        fires: entries that are due are published while the store gives no answer.
        longest: seconds after which an entry is asked again that does not say itself.
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
        self._entry_says = ask
        self.fires = fires
        self._longest = longest
        self._unread = False
        self._shown: dict[str, LastRun | None] = {}
        self._rests: dict[str, tuple[LastRun, float]] = {}

    def load(self, entries: list[Any]) -> None:
        """Read what the store knows of entries; one that cannot be read is asked for when due."""
        ledger = self.ledger
        names = {entry.name for entry in entries}
        ledger.views.forget_others(names)
        self._shown = {name: run for name, run in self._shown.items() if name in names}
        self._rests = {name: rest for name, rest in self._rests.items() if name in names}
        new = [entry for entry in entries if not ledger.views.knows(entry.name)]
        for entry in new:
            warn_of_name(entry.name)
        with suppress(StoreError):  # it has been told
            self._read(new)
        self._unread = ledger.calls.open_for > 0
        for entry in entries:
            if ledger.views.knows(entry.name):
                self.go_on(entry)

    def should_load(self) -> bool:
        """Whether a store that was silent at the last load answers again.

        Some hundred entries are read in a call then, and not each by itself as it comes due.
        """
        return self._unread and not self.ledger.calls.open_for

    def wait_at_most(self, entry: Any) -> float | None:
        """Return in how many seconds an entry has to be asked, whatever it says itself."""
        if self.ledger.views.knows(entry.name):
            return self._watched(entry.name)
        return self._patience()

    def decide(self, entry: Any) -> tuple[Tick | None, float]:
        """Return the tick to publish, `None` if there is none here; and when to ask again."""
        try:
            self._learn(entry)
            for _ in range(_TRIES):
                self.go_on(entry)
                due, delay = self._ask(entry)
                watched = self._watched(entry.name)
                if not due and watched != 0.0:
                    return None, delay if watched is None else min(delay, watched)
                slots = self._slots(entry)
                wish = self._wish(entry, slots, delay)
                answer = self._answer(entry, due, wish)
                if isinstance(answer, Tick):
                    answer.next_due = _then(slots, answer)
                    if due and not slots.every and answer.due < wish.due:
                        delay = 0.0  # an older tick, and the one that is due comes next
                    return answer, self._until_next(slots, answer.next_base, delay)
                if isinstance(answer, RetryAfter):
                    return None, min(answer.seconds, self._rest(entry))
                if due and slots.ignores_last_run():
                    return None, self._let_rest(entry, delay)
        except StoreError:  # it has been told
            return None, self._patience()
        return None, SOON

    def _learn(self, entry: Any) -> None:
        """Read the record of an entry that is not known yet. Raises `StoreError`."""
        ledger, name = self.ledger, entry.name
        if ledger.views.knows(name):
            return
        try:
            self._read([entry])
        except StoreError:
            if not self.fires:
                raise
            ledger.views.guess(
                name, known_run(entry) or LastRun(ledger.clock.now(), 0, guessed=True)
            )

    def _answer(self, entry: Any, due: bool, wish: TickRequest) -> Tick | RetryAfter | Stale | None:
        """Ask for the tick that is due, or look at another beat's. Raises `StoreError`."""
        ledger, name = self.ledger, entry.name
        # an entry for once must know that it has run before it is taken for due
        unsure = counts_its_runs(entry) and not ledger.views.of(name).is_sure
        try:
            ask_first = unsure or not due
            answer = ledger.look(name, wish) if ask_first else ledger.claim(name, wish)
            if isinstance(answer, Tick) and self._is_of_the_past(entry, answer):
                ledger.drop(answer)
                return None
            return answer
        except StoreError:
            if not due or not self.fires:
                raise
            return ledger.unclaimed(name, wish)

    def go_on(self, entry: Any) -> None:
        """Let an entry go on from the last run: the ledger's, or a later one of its own."""
        ledger, name = self.ledger, entry.name
        own = known_run(entry)
        if own is not None and own != self._shown.get(name):
            ledger.views.take_over_run(name, own)
        self.show_last_run(entry)

    def show_last_run(self, entry: Any) -> None:
        """Let an entry know the last run, and the row behind it too if that is confirmed."""
        known = self.ledger.views.of(entry.name)
        set_run(entry, known.last, sure=known.is_sure)
        self._shown[entry.name] = run_of(entry)

    def _ask(self, entry: Any) -> tuple[bool, float]:
        """Ask the entry, on the store's clock."""
        clock = self.ledger.clock
        with on_clock(entry, clock.now):
            due, delay = self._entry_says(entry)
        if isinstance(delay, (int, float)):
            delay = max(0.0, delay)
        else:  # it does not say, and Celery asks at once after a run; else when it has to
            delay = SOON if due else self._longest
        run, until = self._rests.get(entry.name, (None, 0.0))
        left = until - clock.now()
        if due and left > 0 and run == self.ledger.views.of(entry.name).last:
            return False, left
        return bool(due), delay

    def _rest(self, entry: Any) -> float:
        """Return when to ask an entry again whose tick another beat publishes."""
        self.show_last_run(entry)
        due, delay = self._ask(entry)
        if not due:
            return delay
        if self._slots(entry).ignores_last_run():
            return self._let_rest(entry, delay)
        return self._longest  # its next slot has come: it is asked when that claim has ended

    def _let_rest(self, entry: Any, delay: float) -> float:
        """Take an entry for not due, for the delay that it has answered with.

        It is due whatever its last run was, so that delay is all its pace: here as in the beat
        that has published it.
        """
        ledger = self.ledger
        self.show_last_run(entry)
        self._rests[entry.name] = (ledger.views.of(entry.name).last, ledger.clock.now() + delay)
        return delay

    def _is_of_the_past(self, entry: Any, tick: Tick) -> bool:
        """Whether a tick is taken over so late that its entry would not publish it any more.

        Nobody was there to do it in time, or the store was not: then there is one run for all
        that was missed, for the latest slot, unless a starting deadline forbids that one too.
        """
        if tick.tries == 1 or self.ledger.clock.now() - tick.due <= _OLD:
            return False
        self.show_last_run(entry)
        due, delay = self._ask(entry)
        return not due or self._wish(entry, self._slots(entry), delay).due > tick.due + SAME

    def _until_next(self, slots: Slots, reach: float, delay: float) -> float:
        """Return the seconds until the slot after `reach`, where Celery has answered `delay`.

        For an interval it answers with the whole of it, which would lose its phase; all others it
        knows best.
        """
        after = slots.after(reach) if slots.every else None
        return delay if after is None else max(0.0, after - self.ledger.clock.now())

    def _read(self, entries: list[Any]) -> None:
        """Read what the store knows of these entries. Raises `StoreError`."""
        named = {entry.name: entry for entry in entries}
        self.ledger.views.load(
            {name: known_run(entry) for name, entry in named.items()},
            lambda name, run: self._slots(named[name]).after(run),
        )

    def _wish(self, entry: Any, slots: Slots, delay: float) -> TickRequest:
        last = self.ledger.views.of(entry.name).last.at
        due = slots.latest(last, start_of(entry))
        reach = slots.reach(due, last)
        following = self._until_next(slots, reach, delay)
        return TickRequest(due, reach, claim_ttl(following), following)

    def _slots(self, entry: Any) -> Slots:
        return slots_of(entry, self.ledger.clock.now())

    def _watched(self, name: str) -> float | None:
        """Return in how many seconds another beat's claim is to be looked at, if any is."""
        watch = self.ledger.views.of(name).look_at
        return None if watch is None else max(0.0, watch - self.ledger.clock.now())

    def _patience(self) -> float:
        return max(self.ledger.calls.open_for, SOON)


def _then(slots: Slots, tick: Tick) -> float | None:
    """Return the slot after a tick; an entry that runs once has none."""
    slot = slots.after(tick.next_base)
    return slot if slot is not None and slot > tick.due else None
