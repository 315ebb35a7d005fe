"""Calls to the store that got no answer, made again until one comes or nobody needs it any more."""

from __future__ import annotations

import atexit
import logging
import math
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import StoreError
from ..events.unwritten import write
from ..model.clock import Clock, steady
from ..model.per_process import PerProcess
from .alarm import Alarm, NoThread
from .breaker import Breaker

__all__ = ["NOT_YET", "PendingCall", "PendingCalls", "make_last"]

logger = logging.getLogger("celery_lock")

NOT_YET = object()
"""What a pending call returns whose time has not come."""

SOON = 0.05
"""Seconds after which such a call is made again: a process that is being killed is gone by then,
or in a few times of it."""


@dataclass(eq=False)
class PendingCall:
    """A release, an undo or a freeing that is still to be answered."""

    make: Callable[[], object]
    due: float
    until: float


class PendingCalls:
    """The pending calls of each process, made on a thread apart. Thread-safe.

    A call that hangs holds up the calls behind it, and no renewal. A process that can begin no
    thread makes what is due whenever something is added, or is to be done at some time.
    """

    def __init__(
        self,
        *,
        clock: Clock = steady,
        threads: bool = True,
        after: Callable[[], float] = lambda: math.inf,
        leaving: Callable[[], None] = lambda: None,
        breaker: Breaker | None = None,
    ) -> None:
        """`threads=False`: nothing happens by itself; the caller calls `make_due()`.

        `after` is a step of somebody else that the thread takes after the calls that are due: it
        returns the time of its next one. `leaving` is called before the process leaves, and may
        add calls. `breaker`: the thread asks for it whether the store answers again.
        """
        self._breaker = breaker
        if breaker is not None:
            breaker.wake, breaker.answers = self.wake, self._hurry
        self._leaving = leaving
        self._clock = clock
        self._threads = threads
        self._after = after
        self._own = PerProcess(lambda: _Calls(self))
        _all.add(self)

    @property
    def unanswered(self) -> bool:
        """Whether the last call got no answer: the next one may not either."""
        return self._own.value.unanswered

    def add(self, make: Callable[[], object], *, for_: float) -> None:
        """Make this call once a second until it raises no `StoreError`, for `for_` seconds.

        The first time at once. Sooner than in a second, if it returned `NOT_YET`.
        """
        own, now = self._own.value, self._clock()
        call = PendingCall(make, now, now + for_)
        own.waiting[call] = None
        if self._threads:
            self._set(own, now)

    def wake(self, time: float) -> None:
        """See to it that a step is taken at this time."""
        if self._threads and time < (own := self._own.value).alarm.time:
            self._set(own, time)

    def _set(self, own: _Calls, time: float) -> None:
        try:
            own.alarm.set(time)
        except NoThread:
            if own.in_hand.acquire(blocking=False):  # else they are being made, perhaps right here
                try:
                    self.make_due()
                finally:
                    own.in_hand.release()

    def make_due(self) -> float:
        """Make the calls whose time has come; return when the next one's has."""
        probe = math.inf if self._breaker is None else self._breaker.probe_due()
        own, now = self._own.value, self._clock()
        for call in list(own.waiting):
            if call.due <= now:
                self._make(own, call)
        after = self._after()
        return min([probe, after, *(call.due for call in list(own.waiting))])

    def make_now(self) -> None:
        """Make each call once, until one gets no answer: the process is about to leave."""
        if self._breaker is not None:
            self._breaker.probe()
        self._leaving()
        own = self._own.value
        for call in list(own.waiting):
            self._make(own, call)
            if own.unanswered:
                return

    def _hurry(self) -> None:
        """Make all calls now: the store answers again."""
        own, now = self._own.value, self._clock()
        for call in list(own.waiting):
            call.due = min(call.due, now)
        self.wake(now)

    def _make(self, own: _Calls, call: PendingCall) -> None:
        pause = 1.0
        try:
            if call.make() is NOT_YET:
                pause = SOON
            else:
                own.unanswered, pause = False, 0.0
        except StoreError:
            own.unanswered = True
        except Exception:  # the next call must not wait for this one
            write(logger, logging.ERROR, "a call to the store is made again", exc_info=True)
        call.due = self._clock() + pause
        if not pause or call.due >= call.until:
            own.waiting.pop(call, None)


class _Calls:
    """The pending calls of one process."""

    def __init__(self, calls: PendingCalls) -> None:
        self.waiting: dict[PendingCall, None] = {}
        """In the order in which they came. Its own operations are atomic, so nothing is locked."""
        self.unanswered = False
        self.alarm = Alarm("celery-lock-calls", calls.make_due, calls._clock)
        self.in_hand = threading.Lock()
        """Held by who makes them without a thread: a call that fails asks for the next step."""


_all: weakref.WeakSet[PendingCalls] = weakref.WeakSet()


def make_last() -> None:
    """Make what waits in this process, which is about to leave: nobody makes it afterwards."""
    for calls in list(_all):
        calls.make_now()


atexit.register(make_last)  # who leaves without it, as the child of a prefork pool, calls it
