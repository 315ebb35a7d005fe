"""What the memory stores of one process share: all that is kept, and a clock for tests to move."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

from ..model import End
from ..model.clock import Clock, steady
from .memory_records import Records

__all__ = ["KeyState", "ManualClock", "Space"]


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
    """What several stores of one process share: a clock, and what is known of each key."""

    def __init__(
        self, clock: Clock = steady, *, epoch: float | None = None, grace: float = 60.0
    ) -> None:
        """Make an empty one.

        Args:
            clock: in seconds.
            epoch: seconds from 1970 to the clock's zero; default: as the system's clock says.
            grace: seconds that the state of a key outlives its use, as on Redis.
        """
        self.clock = clock
        self._grace = round(grace * 1e6)
        self.epoch = time.time() - clock() if epoch is None else epoch
        self.states: dict[str, KeyState] = {}
        self.records = Records()
        self.completed: dict[tuple[str, str], tuple[int, int, bool]] = {}
        """Publications of a key: when each was completed, until when that is remembered, and
        whether its result was still to be stored."""
        first = clock.moved if isinstance(clock, ManualClock) else threading.Condition()
        self._changed = {os.getpid(): first}

    @property
    def changed(self) -> threading.Condition:
        """Guards all of it, and tells that a key has become free.

        A child that was forked while another thread held it makes its own.
        """
        pid = os.getpid()
        return self._changed.get(pid) or self._changed.setdefault(pid, threading.Condition())

    def now(self) -> int:
        """Microseconds since 1970."""
        return round((self.clock() + self.epoch) * 1e6)

    def state(self, name: str) -> KeyState | None:
        """Return what is known of a key; forget what has outlived its use."""
        state = self.states.get(name)
        if state is not None and state.until <= self.now():
            state = None
            self._forget()
        return state

    def keep(self, name: str, state: KeyState) -> None:
        """Remember the state of a key for as long as it is of use."""
        now = self.now()
        state.until = max(state.expiry, state.floor, now) + self._grace
        if name not in self.states and len(self.states) % 1024 == 1023:
            self._forget()
        self.states[name] = state

    def _forget(self) -> None:
        now = self.now()
        for name in [name for name, state in self.states.items() if state.until <= now]:
            self.states.pop(name)
        for done in [done for done, (_, until, _) in self.completed.items() if until <= now]:
            self.completed.pop(done)

    def complete(self, name: str, end: End) -> None:
        """Remember that a publication was completed."""
        now = self.now()
        if len(self.completed) % 1024 == 1023:
            self._forget()
        until = now + round(end.remember * 1e6)
        self.completed[name, end.publication] = now, until, end.result_due

    def completed_since(self, name: str, publication: str, since: float) -> tuple[bool, bool]:
        """The publication was completed at that time or later; its result was due then."""
        when, until, due = self.completed.get((name, publication), (0, 0, False))
        done = until > self.now() and when >= round(since * 1e6)
        return done, done and due


@dataclass
class KeyState:
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
    inherited: tuple[str, str, int] = ("", "", 0)
    """The last holder that came as an heir, as whose, and that one's expiry: the same."""
    released: tuple[str, int] = ("", 0)
    """Holder and token of the last release, should it be sent again."""
    undone: tuple[str, ...] = ()
    """Holders that took back a claim, should it still arrive."""
    until: int = 0

    def taken(self, now: int) -> bool:
        """There is a lease or a floor."""
        return max(self.expiry, self.floor) > now
