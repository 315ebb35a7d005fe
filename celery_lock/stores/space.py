"""What the memory stores of one process share: the records, and a clock that a test can move."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

from ..clock import Clock, steady

__all__ = ["ManualClock", "Record", "Space"]


class ManualClock:
    """Time that stands still until a test moves it; a move wakes whoever watches a key.

    `jumps`: a watcher does not wait for somebody else to move the clock but moves it to the end
    of its own wait. For tests with a single thread, where nobody else could.
    """

    def __init__(self, start: float = 0.0, *, jumps: bool = False) -> None:
        self._now = start
        self.jumps = jumps
        self.moved = threading.Condition()

    def __call__(self) -> float:
        return self._now

    def move(self, seconds: float) -> None:
        """Let time pass, and wake the watchers."""
        with self.moved:
            self._now += seconds
            self.moved.notify_all()


class Space:
    """What several stores of one process share: a clock, and the records."""

    def __init__(
        self, clock: Clock = steady, *, epoch: float | None = None, grace: float = 60.0
    ) -> None:
        """Make an empty one.

        Args:
            clock: in seconds.
            epoch: seconds from 1970 to the clock's zero; default: as the system's clock says.
            grace: seconds that a record outlives its use, as on Redis.
        """
        self.clock = clock
        self._grace = round(grace * 1e6)
        self.epoch = time.time() - clock() if epoch is None else epoch
        self.records: dict[str, Record] = {}
        first = clock.moved if isinstance(clock, ManualClock) else threading.Condition()
        self._changed = {os.getpid(): first}

    @property
    def changed(self) -> threading.Condition:
        """Guards the records, and tells that a key has become free.

        A child that was forked while another thread held it makes its own.
        """
        pid = os.getpid()
        return self._changed.get(pid) or self._changed.setdefault(pid, threading.Condition())

    def now(self) -> int:
        """Microseconds since 1970."""
        return round((self.clock() + self.epoch) * 1e6)

    def record(self, name: str) -> Record | None:
        """Return what is known of a key; forget what has outlived its use."""
        record = self.records.get(name)
        if record is not None and record.until <= self.now():
            record = None
            self._forget()
        return record

    def keep(self, name: str, record: Record) -> None:
        """Remember a record for as long as it is of use."""
        now = self.now()
        record.until = max(record.expiry, record.floor, now) + self._grace
        if name not in self.records and len(self.records) % 1024 == 1023:
            self._forget()
        self.records[name] = record

    def _forget(self) -> None:
        now = self.now()
        for name in [name for name, record in self.records.items() if record.until <= now]:
            self.records.pop(name)


@dataclass
class Record:
    """What is known of one key; times in microseconds since 1970."""

    holder: str = ""
    """Who has it, or had it last."""
    expiry: int = 0
    """When the lease ends; 0: it was given back."""
    token: int = 0
    since: int = 0
    publication: str = ""
    floor: int = 0
    """Until when others are kept out by `at_least`."""
    resting: str = ""
    """The task that set the floor, which it does not keep out."""
    before: int = 0
    """The floor that stood before the last claim, should that be undone."""
    released: tuple[str, int] = ("", 0)
    """Holder and token of the last release, should it be sent again."""
    undone: tuple[str, ...] = ()
    """Holders that took back a claim, should it still arrive."""
    until: int = 0

    def taken(self, now: int) -> bool:
        """There is a lease or a floor."""
        return max(self.expiry, self.floor) > now
