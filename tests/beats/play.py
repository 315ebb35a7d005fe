"""Plays a plan: does each thing at its time, and never leaves the schedule without any beat."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from tests.beats import inside
from tests.beats import plan as plans
from tests.beats.beats import Beat
from tests.beats.book import note, read
from tests.beats.plan import Fault
from tests.beats.setup import Setup
from tests.beats.standstill import rest

__all__ = ["between_due_times", "play"]

EVERY = 0.02
"""Seconds between two looks."""
CLEAR = 0.1
"""Seconds before and after a due time in which some beats know of it and others do not."""
AGAIN = 0.3
PATIENCE = 15.0
"""Seconds that a fault waits until the beat, and one beside it, are up; then it is left out."""


def play(setup: Setup, plan: Sequence[Fault], seconds: float) -> None:
    """Play it with the beats that run; they are stopped at the end."""
    _Playing(setup, plan).run(seconds)


def between_due_times(lines: Sequence[dict[str, Any]], now: float) -> bool:
    """Whether no entry is due now: all of them come at a whole number of seconds."""
    last = {
        line["entry"]: line["due"] or line["at"] for line in lines if line["what"] == "published"
    }
    return all(CLEAR < (now - due) % 1.0 < 1.0 - CLEAR for due in last.values())


class _Playing:
    """One plan that is played."""

    def __init__(self, setup: Setup, plan: Sequence[Fault]) -> None:
        self.setup = setup
        self.began = time.monotonic()
        self._numbers = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._dying: dict[int, float] = {}
        """Beats that were ordered to die, and the seconds after which they are started again."""
        self._ended: set[int] = set()
        """Beats that are dead, and will be started again."""
        self._flushed: float | None = None
        for fault in plan:
            self._at(fault.at, lambda fault=fault: self._do(fault))  # type: ignore[misc]

    @property
    def now(self) -> float:
        return time.monotonic() - self.began

    def run(self, seconds: float) -> None:
        """Play until so many seconds have passed."""
        note(self.setup.book, "began")
        while self.now < seconds:
            while self._due and self._due[0][0] <= self.now:
                heapq.heappop(self._due)[2]()
            for beat in self.setup.beats.all:
                self._look_after(beat)
            still = rest(EVERY)
            if still is not None:
                note(self.setup.book, "stood still", at=still.start, until=still.end)
        note(self.setup.book, "ended")
        for beat in self.setup.beats.all:
            if beat.paused:
                beat.resume()
            beat.stop()

    def _at(self, at: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), what))

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        self._at(self.now + seconds, what)

    def _look_after(self, beat: Beat) -> None:
        """See whether a beat has ended that nobody killed."""
        if beat.process.alive() or beat.number in self._ended:
            return
        self._ended.add(beat.number)
        status = beat.process.returncode
        if status == inside.INJECTED:
            self._after(self._dying.pop(beat.number, 1.0), lambda: self._start(beat))
        else:
            note(
                self.setup.book,
                "ended by itself",
                beat=beat.home.name,
                pid=beat.process.pid,
                status=status,
                log=beat.process.tail(15),
            )
            self._after(1.0, lambda: self._start(beat))

    def _start(self, beat: Beat) -> None:
        beat.start()
        self._ended.discard(beat.number)

    def _do(self, fault: Fault) -> None:
        if fault.beat is None:
            self._do_to_store(fault)
            return
        beat = self.setup.beats.all[fault.beat]
        if not self._may(fault, beat):
            late = self._flushed is not None and fault.at < self._flushed
            if self.now - fault.at < PATIENCE and not late:
                self._after(AGAIN, lambda: self._do(fault))
            else:
                note(self.setup.book, "left out", fault=fault.what)
            return
        note(self.setup.book, "fault", fault=fault.what, beat=beat.home.name, value=fault.value)
        if fault.what == plans.KILL:
            self._ended.add(beat.number)
            beat.kill()
            self._after(fault.value, lambda: self._start(beat))
        elif fault.what == plans.PAUSE:
            beat.pause()
            self._after(fault.value, beat.resume)
        elif fault.what == plans.CLOCK:
            inside.step_clock(beat.home, fault.value)
        elif fault.what == plans.FAIL_PUBLISH:
            inside.order(beat.home, *[inside.FAIL] * int(fault.value))
        else:
            self._dying[beat.number] = fault.value
            claimed = fault.what == plans.DIE_CLAIMED
            inside.order(beat.home, inside.CLAIMED if claimed else inside.PUBLISHED)

    def _may(self, fault: Fault, beat: Beat) -> bool:
        """Whether the beat is up, and another one stays up beside it."""
        if fault.what == plans.CLOCK:
            return True
        if fault.what == plans.PAUSE and beat.age < plans.YOUNG:
            return False
        return beat.up() and any(one.up() for one in self.setup.beats.all if one is not beat)

    def _all_remember(self) -> bool:
        """Whether an emptied store can be filled with what the beats remember.

        One that has just started has read nothing yet, and for the moment of a due time those who
        have not heard of its run would fire it again: no memory can mend either.
        """
        beats = self.setup.beats.all
        if not all(beat.up() and beat.age >= plans.YOUNG for beat in beats):
            return False
        return between_due_times(read(self.setup.book), time.time())

    def _do_to_store(self, fault: Fault) -> None:
        store, book = self.setup.store, self.setup.book
        if fault.what == plans.FLUSH and not self._all_remember():
            self._after(EVERY, lambda: self._do(fault))
            return
        note(book, "fault", fault=fault.what, beat="store", value=fault.value)

        def over(how: Callable[[], object]) -> None:
            how()
            note(book, "outage over")

        if fault.what == plans.FLUSH:
            with store.client() as client:
                client.flushall()
            self._flushed = self.now
            return
        note(book, "outage")
        if fault.what == plans.STORE_PAUSE:
            store.pause()
            self._after(fault.value, lambda: over(store.resume))
        else:
            store.kill()
            self._after(fault.value, lambda: over(store.start))
