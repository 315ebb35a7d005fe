"""The beats' common ledger: which tick of which entry has been published, and who is at it.

Every beat asks the store for every tick; compare-and-set lets one of them win. There is no leader:
a beat that dies leaves at most open claims behind, and another one publishes those ticks when
they have lived long enough. Nothing here knows of Celery.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ..errors import StoreError, StoreUnavailable
from ..model import Record
from .calls import Calls
from .known import Known
from .progress import NOBODY, Claimed, LastRun, Progress
from .ticks import FRESH, Later, Moved, Tick, Wish, again, kept

__all__ = ["Ledger"]

SlotAfter = Callable[[str, float], "float | None"]
"""The slot of an entry after a moment: seconds since 1970, `None` if nobody can tell."""

logger = logging.getLogger("celery_lock")

_TURNS = 4
"""How often a change that meets a newer record is tried with that one."""


class Ledger:
    """What one beat knows of it. `by` is who this beat is."""

    def __init__(self, calls: Calls, by: str) -> None:
        self.calls = calls
        self.clock = calls.clock
        self._by = by
        self._known: dict[str, Known] = {}
        self._owed: list[Tick] = []

    # -- what is known -----------------------------------------------------------------------

    def knows(self, name: str) -> bool:
        """Whether the record of an entry has been read."""
        return name in self._known

    def of(self, name: str) -> Known:
        """Return what is known of an entry."""
        return self._known[name]

    def adopt(self, name: str, run: LastRun) -> None:
        """Take over what an entry has been told elsewhere, by a database, if it is later."""
        self._known[name].adopt(self._not_ahead(run))

    def guess(self, name: str, run: LastRun) -> None:
        """Let an entry whose record cannot be read begin here, for this beat alone."""
        self._known[name] = Known(run)

    def forget_others(self, names: Iterable[str]) -> None:
        """Forget all entries but these."""
        keep = set(names)
        for name in [name for name in self._known if name not in keep]:
            self._known.pop(name)

    def load(
        self, seeds: Mapping[str, LastRun | None], after: SlotAfter = lambda name, run: None
    ) -> None:
        """Read the records of entries; one that has none gets one, from what the entry knows.

        An entry that knows nothing begins at the store's own time: that of the beat may be wrong.
        `after` tells the slot of an entry after a run, for people to read.
        Raises `StoreError`; what has been read until then is known.
        """
        for name, record in self.calls.read_all(list(seeds)):
            self._take(name, record, seeds[name], after)

    def _take(
        self, name: str, record: Record | None, seed: LastRun | None, after: SlotAfter
    ) -> None:
        for _ in range(_TURNS):
            there = self._readable(name, record)
            if there is not None and record is not None:
                known = self._known[name] = Known(there.last)
                known.follow(there, record, by=self._by)
                if seed is not None:
                    self.adopt(name, seed)
                return
            now = LastRun(self.clock.now(), 0, guessed=True)
            run = now if seed is None else self._not_ahead(seed)
            then = after(name, run.at)
            fresh = Progress(run, then=then)
            keep = kept(None if then is None else then - self.clock.now())
            expected = None if record is None else record.stamp
            answer = self.calls.change(name, expected, fresh, keep=keep)
            if answer.done:
                self._known[name] = Known(run, fresh.stamp)
                return
            record = answer.record
        raise StoreUnavailable(self.calls.url, f"the record of {name!r} changes all the time")

    # -- ticks -------------------------------------------------------------------------------

    def claim(self, name: str, wish: Wish) -> Tick | Later | Moved:
        """Ask for the tick after the last run. Raises `StoreError`."""
        known = self._known[name]
        base, expected = known.last, known.stamp
        wanted = Progress(base, Claimed(wish.due, wish.reach, self._by, wish.lives))
        for _ in range(_TURNS):
            sent = self.clock.steady()
            answer = self.calls.change(name, expected, wanted, keep=wish.keep, not_before=wish.due)
            if answer.done:
                known.settle(base)
                # the answer to the same claim may have been lost a moment ago
                age = 0.0 if answer.record is None else answer.now - answer.record.written
                return _tick(name, wanted, sent, age, wish)
            record = answer.record
            if record is not None and record.stamp == expected:
                return Later(max(0.0, wish.due - answer.now))  # its clock is behind our estimate
            expected = None if record is None else record.stamp
            there = self._readable(name, record)
            if there is None or record is None:
                continue  # it was lost: our memory is all there is
            if there.claimed is not None and not known.is_past(there):
                return self._meet(name, there, record, answer.now, sent, wish)
            if there.claimed is None and there.last.is_after(base):
                known.settle(there.last)
                return Moved()
            # what stands there has long been confirmed: the store has gone back in time
        return Later(1.0)

    def look(self, name: str, wish: Wish) -> Tick | Later | None:
        """See whether another beat has confirmed what it had claimed; else take its tick over.

        `wish`: how long our claim lives then, and its record. `None`: it has. Raises `StoreError`.
        """
        known = self._known[name]
        sent = self.clock.steady()
        record, now = self.calls.read(name)
        there = self._readable(name, record)
        claimed = None if there is None else there.claimed
        if there is None or record is None or claimed is None:
            later = there is not None and there.last.is_after(known.last)
            known.settle(there.last if there is not None and later else known.last)
            return None
        if known.is_past(there):
            known.settle(known.last)  # the store has gone back in time
            return None
        found = self._meet(name, there, record, now, sent, wish)
        return Later(0.0) if isinstance(found, Moved) else found

    def _meet(
        self, name: str, there: Progress, record: Record, now: float, sent: float, wish: Wish
    ) -> Tick | Later | Moved:
        """Do what an open claim asks for: wait for it, or take its tick over."""
        known, claimed = self._known[name], there.claimed
        assert claimed is not None
        age = now - record.written
        if claimed.by == self._by and age < FRESH * claimed.lives:
            known.settle(there.last)  # the answer to our own claim was lost
            return _tick(name, there, sent, age, wish)
        rest = claimed.lives - age
        if claimed.by not in (NOBODY, self._by):
            # who has published it may not have been able to confirm it yet
            rest = max(rest, claimed.lives - self.calls.sure_for)
        if rest > 0:
            known.follow(there, record, by=self._by)
            if known.watch is not None:
                known.watch = now + rest
            return Later(rest)
        mine = replace(claimed, by=self._by, lives=wish.lives, tries=claimed.tries + 1)
        taken = replace(there, claimed=mine)
        sent = self.clock.steady()
        answer = self.calls.change(
            name, record.stamp, taken, keep=wish.keep, not_before=claimed.due
        )
        if not answer.done:
            return Moved()
        known.settle(there.last)
        logger.warning(
            "beat: the tick of %r due at %.3f is taken over from %s; this is try %d,"
            " with the same task id",
            name,
            claimed.due,
            claimed.by or "a beat that could not publish it",
            mine.tries,
        )
        return _tick(name, taken, sent, 0.0, wish)

    def unclaimed(self, name: str, wish: Wish) -> Tick:
        """Return a tick to publish though the store gives no answer."""
        until = self.clock.steady() + FRESH * wish.lives
        return Tick(name, self._known[name].last, wish.due, wish.reach, None, until, wish.keep)

    def is_fresh(self, tick: Tick) -> bool:
        """Whether a tick may still be published: nobody can have taken it over."""
        return self.clock.steady() < tick.until

    def confirm(self, tick: Tick) -> None:
        """Say that a tick has been published: its run is the last one from now on.

        Never raises: if the store gives no answer it is said later, before anything else.
        """
        known = self._known.get(tick.name)
        if known is not None:
            known.settle(tick.run)
        if tick.stamp is None:
            return
        try:
            self._confirm(tick)
        except StoreError:
            self._owed.append(tick)

    def _confirm(self, tick: Tick) -> None:
        quiet, expected = Progress(tick.run, then=tick.then), tick.stamp
        for _ in range(_TURNS):
            answer = self.calls.change(tick.name, expected, quiet, keep=tick.keep)
            if answer.done:
                return
            # a tick is confirmed by its due time, not by who claimed it: it may be taken over
            expected = None if answer.record is None else answer.record.stamp
            there = self._readable(tick.name, answer.record)
            if there is not None and (
                there.last.at >= tick.reach
                or (there.claimed is not None and there.claimed.due > tick.due)
            ):
                return  # it has gone on from here

    def fail(self, tick: Tick, after: float | None = None) -> None:
        """Say that a tick was not published: any beat may do it `after` so many seconds.

        Never raises: a claim of which nothing is heard ends by itself.
        """
        if tick.stamp is None:
            return
        after = tick.again if after is None else after
        given_up = Claimed(tick.due, tick.reach, NOBODY, after, tries=tick.tries)
        try:
            self.calls.change(tick.name, tick.stamp, Progress(tick.last, given_up), keep=tick.keep)
        except StoreError:
            return

    def drop(self, tick: Tick) -> None:
        """Say that a tick is left out: its entry goes on from the run before. Raises `StoreError`.

        A confirm of whoever has published it after all still counts.
        """
        self.calls.change(tick.name, tick.stamp, Progress(tick.last), keep=tick.keep)
        logger.warning(
            "beat: the tick of %r due at %.3f is not published after all: it is too late for it",
            tick.name,
            tick.due,
        )

    # -- what could not be said --------------------------------------------------------------

    @property
    def owes(self) -> bool:
        """Whether a confirm could not be said yet."""
        return bool(self._owed)

    def pay(self) -> None:
        """Say the confirms that are owed, if the store may be asked. Never raises."""
        while self._owed and not self.calls.patience:
            tick = self._owed[0]
            try:
                self._confirm(tick)
            except StoreError:
                return
            self._owed.remove(tick)

    # -- reading -----------------------------------------------------------------------------

    def _readable(self, name: str, record: Record | None) -> Progress | None:
        there = Progress.read(record)
        if record is not None and there is None:
            logger.warning(
                "beat: the record of the entry %r is none of ours, and is written anew", name
            )
        return there

    def _not_ahead(self, run: LastRun) -> LastRun:
        """A run that was noted by a clock ahead of the store's would be waited for."""
        return replace(run, at=min(run.at, self.clock.now()))


def _tick(name: str, granted: Progress, sent: float, age: float, wish: Wish) -> Tick:
    claimed = granted.claimed
    assert claimed is not None
    return Tick(
        name=name,
        last=granted.last,
        due=claimed.due,
        reach=claimed.reach,
        stamp=granted.stamp,
        until=sent + FRESH * claimed.lives - age,
        keep=wish.keep,
        again=again(claimed.lives, claimed.tries),
        tries=claimed.tries,
    )
