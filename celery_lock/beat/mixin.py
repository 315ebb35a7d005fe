"""The scheduler mixin: a beat that asks the ledger before it publishes, and tells it afterwards."""

from __future__ import annotations

import heapq
import logging
import uuid
from contextlib import ExitStack
from functools import partial
from typing import Any

from celery.schedules import schedstate

from ..app.locks import locks_of
from ..message import tick_header
from ..model import LockStore
from .asking import SOON
from .begin import begin
from .check import check_scheduler
from .deciding import Deciding
from .entries import message_of, on_clock
from .ticks import Tick

__all__ = ["LockedSchedulerMixin"]

logger = logging.getLogger("celery_lock")

_Scheduler: Any = object
"""What the mixin lies over: any scheduler; type checkers need not know its parts."""


class LockedSchedulerMixin(_Scheduler):  # type: ignore[misc]  # of no type
    """Lets several beats run one schedule, all of them live, each tick published once.

    `class Ours(LockedSchedulerMixin, celery.beat.PersistentScheduler)`: the mixin comes first,
    then any scheduler class that keeps Celery's `tick()`.

    A tick is the successor of the last confirmed run of its entry, compared and set in the store
    on the store's clock: claim, publish, confirm. One whose beat dies in between is published by
    another, with the same task id, once its claim has lived until the next slot, but no shorter
    than a second and no longer than ten.

    Each tick costs a call for each beat and one for the confirm. With entries that are further
    apart than a claim lives, each other beat looks once more. A beat that waits makes no calls.

    Raises `LockConfigurationError` as the class is made if its `tick()` is not Celery's, and as
    the beat starts if the store cannot keep records.
    """

    _heap: list[Any] | None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_scheduler(cls, LockedSchedulerMixin)

    def __init__(self, *args: Any, **options: Any) -> None:
        self._lock_deciding: Deciding | None = None
        self._lock_store: LockStore | None = None
        self._lock_granted: dict[str, Tick] = {}
        self._lock_advanced: dict[str, Any] = {}
        self._lock_failed: dict[str, float | None] = {}
        self._lock_refused: tuple[Any, float] | None = None
        mine: Any = self  # around whatever a class makes of these, above the mixin or below it
        mine.apply_entry = partial(self._lock_apply_entry, self.apply_entry)
        mine.apply_async = partial(self._lock_apply_async, self.apply_async)
        super().__init__(*args, **options)

    @property
    def _deciding(self) -> Deciding:
        """What decides for this beat; made when it starts to run, not for its banner."""
        if self._lock_deciding is None:
            ledger, self._lock_store = begin(self.app)
            self._lock_deciding = Deciding(
                ledger,
                super().is_due,
                fires=locks_of(self.app).settings.beat_on_store_error == "fire",
                longest=self.max_interval,
            )
        return self._lock_deciding

    # -- Celery's loop -----------------------------------------------------------------------

    def tick(self, *args: Any, **options: Any) -> Any:
        """Run one turn of Celery's loop; say before and after it what is owed."""
        ledger = self._deciding.ledger
        ledger.confirms.send_pending()
        silent = ledger.calls.open_for
        if silent and not self._deciding.fires:
            return max(silent, SOON)  # nothing can be published, however much is due
        self._lock_refused = None
        delay = super().tick(*args, **options)
        for tick in self._lock_granted.values():  # not published: something came in between
            ledger.fail(tick, after=0.0)
        self._lock_granted.clear()
        if self._put_back():
            delay = 0
        self._bring_forward()
        if ledger.confirms.are_pending:
            delay = min(delay, max(ledger.calls.open_for, SOON))
        if ledger.clock.jumped() or self._deciding.should_load():
            self._heap, delay = None, 0  # its times are of the old clock, or of no knowledge
        return delay

    def adjust(self, n: Any, drift: float = 0.0) -> Any:
        """Celery wakes 10 ms early and asks in a loop; a steady clock needs no such reserve."""
        return super().adjust(n, drift=drift)

    def _when(self, entry: Any, next_time_to_run: Any, *args: Any, **options: Any) -> float:
        """Plan by the store's clock: neither a wrong clock nor a step of it moves the plan."""
        return self._deciding.ledger.clock.now() + float(self.adjust(next_time_to_run) or 0)

    def populate_heap(self, *args: Any, **options: Any) -> None:
        """Plan all entries anew, from what the ledger knows of them."""
        deciding, entries = self._deciding, list(self.schedule.values())
        deciding.load(entries)
        with ExitStack() as clocks:
            for entry in entries:
                clocks.enter_context(on_clock(entry, deciding.ledger.clock.now))
            super().populate_heap(*args, **options)
        self._plan({entry.name: deciding.wait_at_most(entry) for entry in entries})

    def _plan(self, latest: dict[str, float | None]) -> None:
        """Plan some entries no later than in so many seconds."""
        heap: list[Any] = self._heap or []
        for place, event in enumerate(heap):
            seconds = latest.get(event.entry.name)
            if seconds is not None:
                sooner = min(event.time, self._when(event.entry, seconds))
                heap[place] = event._replace(time=sooner)
        heapq.heapify(heap)

    def _bring_forward(self) -> None:
        """Plan the entries whose publishing failed for soon; Celery has planned their next slot."""
        if self._lock_failed:
            self._plan(self._lock_failed)
            self._lock_failed.clear()

    def _put_back(self) -> bool:
        """Plan a refused entry anew where Celery has not; `True`: another one is first now.

        Before 5.7 Celery leaves it on top, and those behind it never get their turn.
        """
        if self._lock_refused is None or not self._heap:
            return False
        entry, delay = self._lock_refused
        top = self._heap[0]
        if top.entry is not entry or top.time > self._when(entry, 0):
            return False
        heapq.heapreplace(self._heap, top._replace(time=self._when(entry, delay)))
        return self._heap[0].entry is not entry

    # -- asking, publishing, confirming ------------------------------------------------------

    def is_due(self, entry: Any) -> Any:
        """Say whether an entry is due, and ours: only then it is published here."""
        tick, delay = self._deciding.decide(entry)
        if tick is None:
            self._lock_refused = (entry, delay)
        else:
            self._lock_granted[entry.name] = tick
        return schedstate(tick is not None, delay)

    def reserve(self, entry: Any) -> Any:
        """Advance an entry as its scheduler does, but its last run only with the confirm."""
        advanced = super().reserve(entry)
        if entry.name in self._lock_granted:
            self._deciding.show_last_run(advanced)
            self._lock_advanced[entry.name] = advanced
        return advanced

    def _lock_apply_entry(self, own: Any, entry: Any, *args: Any, **options: Any) -> Any:
        """Publish a tick in its class's own way, and confirm it unless it was given up meanwhile.

        What that did without `apply_async` has been done: it may have sent by itself, or left a
        tick out. Nobody can tell, and neither is to be repeated.
        """
        result = own(entry, *args, **options)
        advanced = self._lock_advanced.pop(entry.name, None)
        tick = self._lock_granted.get(entry.name)
        if tick is not None:
            self._confirm(tick, advanced)
            self._lock_granted.pop(entry.name, None)
        return result

    def _lock_apply_async(self, own: Any, entry: Any, *args: Any, **options: Any) -> Any:
        """Give a tick up whose publishing fails, in Celery or in a class's own way."""
        try:
            return own(entry, *args, **options)
        except Exception:
            tick = self._lock_granted.get(entry.name)
            if tick is not None:
                self._give_up(tick)
            raise

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **options: Any
    ) -> Any:
        """Publish a tick that was granted, with its header and its id, unless it has grown old."""
        tick = None if advance else self._lock_granted.get(entry.name)
        if tick is None:
            return super().apply_async(entry, producer=producer, advance=advance, **options)
        if not self._deciding.ledger.is_fresh(tick):
            logger.warning(
                "beat: the tick of %r due at %.3f is not published here: this beat stood still"
                " for too long after its claim, and another one may have published it",
                entry.name,
                tick.due,
            )
            self._give_up(tick)
            return None
        message = self._message(entry, tick)
        tick.published = None
        result = super().apply_async(message, producer=producer, advance=False, **options)
        tick.published = True
        return result

    def _message(self, entry: Any, tick: Tick) -> Any:
        app = self.app.main or ""
        name = f"{app}\0{entry.name}\0{tick.due:.6f}"  # the same for whichever beat publishes it
        task_id = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
        return message_of(entry, partial(tick_header, app, entry.name, tick.due), task_id)

    def _confirm(self, tick: Tick, advanced: Any) -> None:
        deciding = self._deciding
        deciding.ledger.confirm(tick)
        if advanced is None:
            return
        try:
            deciding.show_last_run(advanced)
            self.confirmed(advanced)
        except Exception:  # it has been published, and the others are due
            logger.exception("beat: the last run of %r could not be passed on", tick.name)

    def confirmed(self, entry: Any) -> None:
        """Learn that an entry's last run and count have moved. For schedulers that store them."""

    def _give_up(self, tick: Tick) -> None:
        self._deciding.ledger.fail(tick)
        # after the others: what keeps this one from publishing need not keep them
        self._lock_failed[tick.name] = 1.5 * tick.retry_in
        self._lock_granted.pop(tick.name, None)

    def _do_sync(self) -> None:
        """Store the schedule; Celery does it within the publishing, which has succeeded then."""
        try:
            super()._do_sync()
        except Exception:
            if not any(tick.published is None for tick in self._lock_granted.values()):
                raise
            logger.exception("beat: the schedule could not be stored")

    def close(self) -> None:
        """Confirm what was published, give back what was only claimed; then close as ever.

        Called from a signal's handler too, in the middle of anything, and then once more.
        """
        if self._lock_deciding is not None:
            ledger = self._lock_deciding.ledger
            for tick in list(self._lock_granted.values()):
                if tick.published:
                    ledger.confirm(tick)
                elif tick.published is not None:  # of one that is being sent nobody can tell
                    ledger.fail(tick, after=0.0)
            ledger.confirms.send_pending()
        try:
            super().close()
        except Exception:
            # a file cannot be written while an entry is asked, since it reads our clock then; and
            # Celery would take this for a failure of that entry, and go on instead of stopping
            logger.exception("beat: the schedule could not be stored as this beat stops")
        finally:
            if self._lock_store is not None:
                self._lock_store.close()
