"""A daemon thread that takes a step whenever its time has come."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from contextlib import suppress

from ..events.unwritten import write
from ..model.clock import Clock
from ..model.mutex import new_mutex, take

__all__ = ["IDLE", "Alarm", "NoThread"]

logger = logging.getLogger("celery_lock")

_FAILED = "the thread %s failed and goes on"

IDLE = 5.0
"""Seconds after which a thread that waits for nothing ends. Longer: a process that makes one app
after the other, as tests do, has more threads of those that are gone. Shorter: a lock that is taken
now and then begins a thread more often, at the cost of a claim or two."""


class NoThread(RuntimeError):
    """This process can begin no thread: it may have no more, or it is about to leave."""


class Alarm:
    """Takes a step on a thread of its own, as often as the step and its callers say.

    The thread begins at first need, and ends once it has waited for nothing for some seconds: an
    app that nobody has any more leaves none behind. An alarm belongs to the process that made it: a
    child that was forked has none of its parent's threads, and makes its own alarms.
    """

    __slots__ = ("_changed", "_clock", "_mutex", "_name", "_step", "_thread", "time")

    def __init__(self, name: str, step: Callable[[], float], clock: Clock) -> None:
        """`step` returns the time of the next one; an error of it is logged, and it goes on."""
        self.time = math.inf
        """When the next step is taken. Infinite while one is taken, and while there is no thread:
        so whoever reads a time there has put down what the thread will find."""
        self._name = name
        self._step = step
        self._clock = clock
        self._mutex = new_mutex()
        self._changed = threading.Condition(self._mutex)
        self._thread: threading.Thread | None = None

    def set(self, time: float) -> None:
        """See to it that a step is taken at `time`; what the step looks at is there already.

        Waking a thread costs more than all the rest of a claim. So this is called, and the thread
        woken, only for what comes sooner than `time` says; and the thread does not look before
        that, so that it finds what has come and gone by then as one. Raises `NoThread`.
        """
        with self._mutex:
            if self._thread is None or not self._thread.is_alive():
                self._begin()
            if time < self.time:
                self.time = time
                self._changed.notify_all()

    def nudge(self) -> None:
        """Let a step be taken now, if there is a thread; for who must wait for nothing here."""
        if not take(self._mutex, 0):
            return
        try:
            thread = self._thread
            if thread is not None and thread.is_alive() and self.time > (now := self._clock()):
                self.time = now
                with suppress(RuntimeError):  # this very thread was in the midst of a notify
                    self._changed.notify_all()
        finally:
            self._mutex.release()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            self._thread.start()
        except BaseException as error:
            self._thread = None  # a stop that fell into it may leave a thread that dies at once
            if isinstance(error, RuntimeError):
                raise NoThread(str(error)) from error
            raise

    def _run(self) -> None:
        try:
            while self._wait():
                self._take_step()
        finally:  # whoever ends this thread: the next need finds that there is none
            with self._mutex:  # after the one that began it has said what it waits for
                if self._thread is threading.current_thread():
                    self.time = math.inf

    def _wait(self) -> bool:
        """Wait for the time of the next step; `False`: another thread does that by now."""
        with self._mutex:
            while self._thread is threading.current_thread():
                pause = self.time - self._clock()
                if pause <= 0:
                    self.time = math.inf  # what comes while the step is taken is seen after it
                    return True
                # at most a minute: a clock that goes on in a suspend does not wake a wait
                is_idle = pause == math.inf
                is_woken = self._changed.wait(IDLE if is_idle else min(pause, 60.0))
                if is_idle and not is_woken and self.time == math.inf:
                    self._thread = None  # the next need finds that there is none
        return False

    def _take_step(self) -> None:
        try:
            time = self._step()
        except Exception:  # what goes on here is what keeps leases alive
            write(logger, logging.ERROR, _FAILED, self._name, exc_info=True)
            time = self._clock() + 1.0
        with self._mutex:
            self.time = min(self.time, time)
