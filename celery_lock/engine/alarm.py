"""A daemon thread that takes a step whenever its time has come."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from ..model.clock import Clock

__all__ = ["Alarm"]

logger = logging.getLogger("celery_lock")


class Alarm:
    """Takes a step on a thread of its own, as often as the step and its callers say.

    The thread begins at first need. An alarm belongs to the process that made it: a child that
    was forked has none of its parent's threads, and makes its own alarms.
    """

    def __init__(self, name: str, step: Callable[[], float], clock: Clock) -> None:
        """`step` returns the time of the next one; an error of it is logged, and it goes on."""
        self._name = name
        self._step = step
        self._clock = clock
        # taken by itself, not through the condition, whose methods are Python: a time limit that
        # fell between its taking and its body would leave it taken for ever
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._looks = math.inf
        """When the thread looks next; infinite while it takes a step, and while there is none."""
        self._ahead = math.inf
        """The shortest time ahead for which a step was asked since the last one."""
        self._thread: threading.Thread | None = None

    def set(self, time: float, now: float) -> None:
        """See to it that a step is taken at `time`; what the step looks at is there already.

        Waking a thread costs more than all the rest of a claim, so it is done only for what comes
        sooner than the time at which the thread looks anyway. Nothing is locked to find that out:
        the thread makes `_looks` infinite before it looks, so whoever reads a time there has put
        down what the thread will look at before the thread looks.
        """
        ahead = time - now
        if ahead < self._ahead:
            self._ahead = ahead
        if time < self._looks:
            self._wake(time)

    def _wake(self, time: float) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._begin()
            if time < self._looks:
                self._looks = time
                self._changed.notify_all()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._thread = None  # a stop that fell into it may leave a thread that dies at once
            raise

    def _run(self) -> None:
        try:
            while self._thread is threading.current_thread():
                self._looks = math.inf  # what comes while the step is taken is seen below
                self._wait_for(self._taken())
        finally:  # whoever ends this thread: the next need finds that there is none
            with self._lock:  # after the one that began it has said what it waits for
                self._looks = math.inf

    def _taken(self) -> float:
        """Take a step; return the time of the next one."""
        try:
            return self._step()
        except Exception:  # what goes on here is what keeps leases alive
            logger.exception("the thread %s failed and goes on", self._name)
            return self._clock() + 1.0

    def _wait_for(self, time: float) -> None:
        with self._lock:
            now = self._clock()
            # Short bodies leave nothing behind, and each next claim would have to wake a thread
            # that sleeps for ever: while claims come it looks as soon as one of them needs it.
            time = min(time, now + self._ahead)
            self._ahead = math.inf
            self._looks = min(self._looks, time)
            pause = self._looks - now
            if pause > 0 and self._thread is threading.current_thread():
                # at most a minute: a clock that goes on in a suspend does not wake a wait
                self._changed.wait(min(pause, 60.0))
