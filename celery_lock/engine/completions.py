"""Completions on their way to the store: gathered, and told in batches within a second."""

from __future__ import annotations

import atexit
import math
import weakref
from collections.abc import Callable
from typing import NamedTuple

from ..errors import StoreError
from ..events import Subject
from ..model import Completion, Feature, LockStore
from ..model.clock import Clock
from ..model.per_process import PerProcess

__all__ = ["BATCH", "FOR", "WITHIN", "Completions", "send_last"]

WITHIN = 0.5
"""Seconds after which the first of a batch is sent. Longer makes more copies wait for it, and
leaves more to a process that is killed; shorter makes more round trips."""

FOR = 300.0
"""Seconds for which a completion is tried again. Until it is told its copies run, so longer is
safer, while the store gives no answer; but hardly any task ends then."""

BATCH = 100
"""Completions in one round trip. It blocks the server for some microseconds each."""

Failed = Callable[[Completion, Subject, StoreError], None]


class Completions:
    """The completions of each process that are not told yet. Thread-safe; a child begins empty."""

    def __init__(
        self, store: LockStore, clock: Clock, *, wake: Callable[[float], None], failed: Failed
    ) -> None:
        """`wake` sees to it that `send_due()` is called at a time, `failed` tells of an error."""
        self._store = store
        self._clock = clock
        self._wake = wake
        self._failed = failed
        self._own = PerProcess(_Waiting)
        _all.add(self)

    def add(self, completion: Completion, subject: Subject) -> None:
        """Tell the store of this completion within a second."""
        if Feature.COPIES not in self._store.features:
            return
        own, now = self._own.value, self._clock()
        own.waiting[completion] = _Told(now + FOR, subject)
        if own.due > now + WITHIN:
            own.due = now + WITHIN
        self._wake(own.due)

    def send_due(self) -> float:
        """Send what waits, if the time for it has come; return when it will have."""
        own, now = self._own.value, self._clock()
        if now < own.due:
            return own.due
        own.due = math.inf  # what comes from now on says its own time
        for completion, told in list(own.waiting.items()):
            if told.until <= now:
                own.waiting.pop(completion, None)
        if not self._send(own):
            own.due = min(own.due, self._clock() + 1.0)
        return own.due

    def send_now(self) -> None:
        """Send what waits, once: the process is about to leave."""
        self._send(self._own.value)

    def __len__(self) -> int:
        return len(self._own.value.waiting)

    def _send(self, own: _Waiting) -> bool:
        """Send all that waits; `False`: a batch got no answer, and the rest is kept."""
        waiting = list(own.waiting)
        for first in range(0, len(waiting), BATCH):
            batch = waiting[first : first + BATCH]
            told = own.waiting.get(batch[0])
            try:
                self._store.complete(batch)
            except StoreError as error:
                if told is not None and not own.unanswered:  # one outage is one fact
                    self._failed(batch[0], told.subject, error)
                own.unanswered = True
                return False
            own.unanswered = False
            for completion in batch:  # not before: a stop may fall into the call
                own.waiting.pop(completion, None)
        return True


class _Told(NamedTuple):
    """What is kept of a completion beside itself."""

    until: float
    """When nobody tries any more."""
    subject: Subject


class _Waiting:
    """The completions of one process."""

    def __init__(self) -> None:
        self.waiting: dict[Completion, _Told] = {}
        """In the order in which they came. Its own operations are atomic, so nothing is locked."""
        self.due = math.inf
        """When they are sent."""
        self.unanswered = False
        """Whether the last batch got no answer."""


_all: weakref.WeakSet[Completions] = weakref.WeakSet()


def send_last() -> None:
    """Send what waits in this process, which is about to leave."""
    for completions in list(_all):
        completions.send_now()


atexit.register(send_last)  # who leaves without it, as the child of a prefork pool, calls it
