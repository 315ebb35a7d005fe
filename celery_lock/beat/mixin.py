"""The scheduler mixin: a beat asks the ledger before it publishes, and confirms afterwards."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from functools import partial
from typing import Any

from celery.schedules import schedstate

from ..app.locks import locks_of
from ..events.plain_text import moment
from ..model import LockStore
from .asking import SOON
from .begin import begin, refuse_early
from .check import check_scheduler, sends_once
from .deciding import Deciding
from .entries import on_clock
from .fan_out import FanOut, listen
from .ledger import Ledger
from .own_method import own_method
from .plan import plan_sooner, put_back
from .ticks import Sending, Tick

__all__ = ["LockedSchedulerMixin"]

logger = logging.getLogger("celery_lock")

_Scheduler: Any = object
"""What the mixin lies over: any scheduler; type checkers need not know its parts."""


class LockedSchedulerMixin(_Scheduler):  # type: ignore[misc]  # of no type
    """Lets several beats run one schedule, all of them live, each tick published once.

    `class Ours(LockedSchedulerMixin, celery.beat.PersistentScheduler)`: the mixin comes first,
    then any scheduler class that keeps Celery's `tick()`.

    A tick is the successor of the last confirmed run of its entry, compared and set in the store
    on the store's clock: claim, publish, confirm. A tick whose beat dies in between is published
    by another beat, with the same task id, once its claim has lived until the next due time, but
    no shorter than a second and no longer than ten.

    Each tick costs a call for each beat and one for the confirm. With entries that are further
    apart than a claim lives, each other beat looks once more. A beat that waits makes no calls.

    Celery's `tick()` calls `is_due()`, where the tick is claimed, `reserve()`, and then::

        apply_entry             the mixin's attribute: confirms the tick as the rest returns
          apply_entry           the class's own, or Celery's: logs what fails, and goes on
            apply_async         the mixin's attribute: gives the tick up if the rest raises
              apply_async       the class's own, if it has one above the mixin
                apply_async     the mixin's method: adds header and id, unless it is too late
                  apply_async   of the scheduler below, or Celery's: sends the message

    The attributes are set in `__init__`: a class may have its own `apply_entry` or `apply_async`
    above the mixin, and a method of the mixin would be inside these, not around them.

    Raises `LockConfigurationError` as the class is made if its `tick()` is not Celery's, and as
    the beat starts if the store cannot keep records.
    """

    _heap: list[Any] | None
    _lock_sends_once: bool
    """Nothing of the class is between a tick and its one message."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_scheduler(cls, LockedSchedulerMixin)
        cls._lock_sends_once = sends_once(cls, LockedSchedulerMixin)

    def __init__(self, *args: Any, **options: Any) -> None:
        self._lock_deciding: Deciding | None = None
        self._lock_store: LockStore | None = None
        self._lock_granted: dict[str, Tick] = {}
        self._lock_advanced: dict[str, Any] = {}
        self._lock_failed: dict[str, float | None] = {}
        self._lock_refused: tuple[Any, float] | None = None
        self._lock_fan_out: FanOut | None = None
        mine: Any = self  # around whatever the class makes of these, as its docstring draws it
        mine.apply_entry = partial(self._lock_apply_entry, own_method(self, "apply_entry"))
        mine.apply_async = partial(self._lock_apply_async, own_method(self, "apply_async"))
        super().__init__(*args, **options)
        refuse_early(self.app)

    def lock_begin(self) -> tuple[Ledger, LockStore]:
        """Return the ledger and the store of this beat, which starts to run now."""
        return begin(self.app)

    @property
    def _deciding(self) -> Deciding:
        """The deciding of this beat, made when the beat starts to run, and not for its banner."""
        if self._lock_deciding is None:
            ledger, self._lock_store = self.lock_begin()
            self._lock_deciding = Deciding(
                ledger,
                super().is_due,
                fires=locks_of(self.app).settings.beat_on_store_error == "fire",
                longest=self.max_interval,
            )
        return self._lock_deciding

    # -- Celery's loop -----------------------------------------------------------------------

    def tick(self, *args: Any, **options: Any) -> Any:
        """Run one turn of Celery's loop; send pending confirms before it."""
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
        if self._lock_failed:  # Celery has planned their next due time
            plan_sooner(self._heap or [], self._lock_failed, self._when)
            self._lock_failed.clear()
        if ledger.confirms.are_pending:
            delay = min(delay, max(ledger.calls.open_for, SOON))
        if ledger.clock.jumped() or self._deciding.should_load():
            # the plan is by the time of before, or was made without the store: make it anew
            self._heap, delay = None, 0
        return delay

    def adjust(self, n: Any, drift: float = 0.0) -> Any:
        """Celery wakes 10 ms early and asks in a loop; a steady clock needs no such reserve."""
        return super().adjust(n, drift=drift)

    def _when(self, entry: Any, next_time_to_run: Any, *args: Any, **options: Any) -> float:
        """Plan by the store's clock: neither a wrong clock nor a step of it moves the plan."""
        return self._deciding.ledger.clock.now() + float(self.adjust(next_time_to_run) or 0)

    def populate_heap(self, *args: Any, **options: Any) -> None:
        """Plan all entries again, from what the ledger knows of them."""
        deciding, entries = self._deciding, list(self.schedule.values())
        deciding.load(entries)
        with ExitStack() as clocks:
            for entry in entries:
                clocks.enter_context(on_clock(entry, deciding.ledger.clock.now))
            super().populate_heap(*args, **options)
        latest = {entry.name: deciding.wait_at_most(entry) for entry in entries}
        plan_sooner(self._heap or [], latest, self._when)

    def _put_back(self) -> bool:
        """Plan a refused entry again where Celery has not; `True`: another one is first now."""
        if self._lock_refused is None or not self._heap:
            return False
        return put_back(self._heap, *self._lock_refused, self._when)

    # -- asking, publishing, confirming ------------------------------------------------------

    def is_due(self, entry: Any) -> Any:
        """Say that an entry is due if this beat is the one to publish its tick."""
        tick, delay = self._deciding.decide(entry)
        if tick is None:
            self._lock_refused = (entry, delay)
        else:
            self._lock_granted[entry.name] = tick
        return schedstate(tick is not None, delay)

    def reserve(self, entry: Any) -> Any:
        """Advance an entry as its scheduler does, but move its last run only with the confirm."""
        advanced = super().reserve(entry)
        if entry.name in self._lock_granted:
            self._deciding.show_last_run(advanced)
            self._lock_advanced[entry.name] = advanced
        return advanced

    def _lock_apply_entry(self, own: Any, entry: Any, *args: Any, **options: Any) -> Any:
        """Publish a tick in its class's own way, and confirm the tick if it was not given up.

        A class that does not call `apply_async` may have sent the message itself, or may have left
        the tick out on purpose. Nobody can tell, and in both cases the tick counts as run.
        """
        tick = self._lock_granted.get(entry.name)
        if tick is None:
            return own(entry, *args, **options)
        with self._fan_out(tick).active():
            result = own(entry, *args, **options)
        advanced = self._lock_advanced.pop(entry.name, None)
        if tick.failed:
            self._give_up(tick)
        else:
            self._confirm(tick, advanced)
        self._lock_granted.pop(entry.name, None)
        return result

    def _fan_out(self, tick: Tick) -> FanOut:
        """Return what names the messages of a tick, and has counted those before."""
        fan_out = self._lock_fan_out
        if fan_out is None or fan_out.tick is not tick:
            listen(self.app)
            fan_out = FanOut(self.app, tick, self._deciding.ledger)
            self._lock_fan_out = fan_out
        return fan_out

    def _lock_apply_async(self, own: Any, entry: Any, *args: Any, **options: Any) -> Any:
        """Note a message that cannot be sent, by Celery or in a class's own way.

        The tick is tried again as a whole, and then those of its messages that were not sent.
        """
        try:
            return own(entry, *args, **options)
        except Exception:
            tick = self._lock_granted.get(entry.name)
            if tick is not None:
                tick.failed = True
            raise

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **options: Any
    ) -> Any:
        """Send a granted tick's message with its header and its id, unless it is too late."""
        tick = None if advance else self._lock_granted.get(entry.name)
        if tick is None:
            return super().apply_async(entry, producer=producer, advance=advance, **options)
        if not self._deciding.ledger.may_go_on(tick):
            logger.warning(
                "beat: the tick of %r due at %s is not published here: this beat stood still"
                " for too long after its claim, and another one may have published it",
                entry.name,
                moment(tick.due),
            )
            tick.failed = True
            return None
        fan_out = self._fan_out(tick)
        message, sent = fan_out.prepare(entry)
        if fan_out.is_sent(sent):
            return None
        seen = fan_out.seen
        tick.sending = Sending.BEGUN
        with fan_out.active():
            result = super().apply_async(message, producer=producer, advance=False, **options)
        if fan_out.seen == seen:  # sent in a way of its own
            fan_out.was_sent(sent)
        tick.sending = Sending.DONE
        return result

    def _confirm(self, tick: Tick, advanced: Any) -> None:
        deciding = self._deciding
        deciding.ledger.confirm(tick)
        if advanced is None:
            return
        try:
            deciding.show_last_run(advanced)
            self.confirmed(advanced)
        except Exception:  # the tick has been published, and other entries are due
            logger.exception("beat: the last run of %r could not be passed on", tick.name)

    def confirmed(self, entry: Any) -> None:
        """Called when an entry's last run and count have moved: for schedulers that store them."""

    def _give_up(self, tick: Tick) -> None:
        self._deciding.ledger.fail(tick)
        # later than the other beats: what keeps this one from publishing need not keep them
        self._lock_failed[tick.name] = 1.5 * tick.retry_in
        self._lock_granted.pop(tick.name, None)

    def _do_sync(self) -> None:
        """Store the schedule; Celery does so within the publishing, which has succeeded then."""
        try:
            super()._do_sync()
        except Exception:
            if all(tick.sending is not Sending.BEGUN for tick in self._lock_granted.values()):
                raise
            logger.exception("beat: the schedule could not be stored")

    def close(self) -> None:
        """Confirm ticks that were published, give back those only claimed; then close as ever.

        A signal's handler calls this too, in the middle of anything, and then it is called again.
        """
        if self._lock_deciding is not None:
            ledger = self._lock_deciding.ledger
            for tick in list(self._lock_granted.values()):
                if self._lock_sends_once and tick.sending is Sending.DONE:
                    ledger.confirm(tick)
                elif (tick.sent and not tick.in_flight) or tick.sending is Sending.NOT_BEGUN:
                    ledger.fail(tick, after=0.0)
                # else a message of it may be with the broker, or may not
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
