"""Leases and records in the memory of one process: for tests, and as the reference."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from threading import get_ident
from typing import Any, TypeVar

from ..errors import LockConfigurationError
from ..model import Claim, Feature, Held, Lease, Refused
from ..model.clock import Clock, steady
from ..model.per_process import PerProcess
from .entry_names import EntryNames
from .manual_clock import ManualClock
from .registry import promises
from .steps import Entry, Move, SteppedStore

__all__ = ["MemoryServer", "MemoryStore", "open_memory"]

T = TypeVar("T")


class MemoryServer:
    """What several stores of one process share: a clock, and the entries that they keep.

    Args:
        clock: in seconds.
        epoch: seconds from 1970 to the clock's zero; default: as the system's clock says.
    """

    def __init__(self, clock: Clock = steady, *, epoch: float | None = None) -> None:
        self.clock = clock
        self.epoch = time.time() - clock() if epoch is None else epoch
        self.entries: dict[str, Entry] = {}
        moved = clock.moved if isinstance(clock, ManualClock) else None
        own = [moved] if moved is not None else []
        # a child that was forked while another thread held it makes its own
        self._changed = PerProcess(lambda: own.pop() if own else threading.Condition())
        _ = self._changed.value

    @property
    def changed(self) -> threading.Condition:
        """Guards all of it, and is notified of every change."""
        return self._changed.value

    def now(self) -> int:
        """Microseconds since 1970."""
        return round((self.clock() + self.epoch) * 1e6)

    def step(self, names: Sequence[str], move: Move[T]) -> T:
        """Read, look at the time, write: nobody else in between."""
        with self.changed:
            now = self.now()
            texts = [self._text(name, now) for name in names]
            answer, writes = move(texts, (now, now))
            for name, entry in writes.items():
                if name not in self.entries and len(self.entries) % 1024 == 1023:
                    self._forget(now)
                self.entries[name] = entry
            if writes:
                self.changed.notify_all()
            return answer

    def names(self) -> list[str]:
        """Name all entries whose time is not over."""
        with self.changed:
            now = self.now()
            return [name for name, entry in self.entries.items() if entry.until > now]

    def _text(self, name: str, now: int) -> str | None:
        entry = self.entries.get(name)
        if entry is None or entry.until > now:
            return None if entry is None else entry.text
        self._forget(now)
        return None

    def _forget(self, now: int) -> None:
        for name in [name for name, entry in self.entries.items() if entry.until <= now]:
            self.entries.pop(name)


_FEATURES = frozenset(Feature)


class MemoryStore(SteppedStore):
    """Leases in one process.

    Args:
        server: shared with other stores; default: one of its own, on the steady clock.
        name: of the server, for the URL.
        prefix: stores with different prefixes do not meet.
        deadline: seconds for which an undone claim is refused should it still arrive.
        grace: seconds that the state of a key outlives its use.
    """

    def __init__(
        self,
        server: MemoryServer | None = None,
        *,
        name: str = "",
        prefix: str = "",
        deadline: float = 2.0,
        grace: float = SteppedStore.GRACE,
    ) -> None:
        super().__init__(f"memory://{name}", deadline=deadline, prefix=prefix)
        self._names = EntryNames(prefix, longest=sys.maxsize)  # so that each can be named again
        self.GRACE = grace
        self._server = MemoryServer() if server is None else server
        self._met: dict[tuple[str, int], int] = {}
        """How many holders the refused claim of a thread has met that will watch its key."""

    @property
    def features(self) -> frozenset[Feature]:
        """All there are."""
        return _FEATURES

    def step(self, names: Sequence[str], move: Move[T], within: float) -> T:
        """Read, look at the time, write; in memory that takes no time."""
        return self._server.step(names, move)

    def acquire(self, claim: Claim) -> Lease | Held:
        """Give the key, or say who has it."""
        answer = super().acquire(claim)
        if claim.watching and isinstance(answer, Held):
            self._met[claim.key, get_ident()] = len(answer.holders)
        return answer

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        """Give all these keys, or none of them."""
        answer = super().acquire_all(claims)
        if isinstance(answer, Refused) and claims[answer.index].watching:
            self._met[answer.held.key, get_ident()] = len(answer.held.holders)
        return answer

    def keys(self, beginning: str) -> list[str]:
        """Name all keys that begin so."""
        named = map(self._names.key, self._server.names())
        return sorted(key for key in named if key is not None and key.startswith(beginning))

    def watch(self, key: str, timeout: float) -> None:
        """Return when `key` may be free, or after `timeout` seconds of the store's clock.

        It may be when somebody has left since the claim that was refused.
        """
        server = self._server
        until = server.clock() + timeout
        with server.changed:
            held = self.peek(key)
            met = self._met.pop((key, get_ident()), 0) or len(held.holders if held else ())
            while held is not None and len(held.holders) >= met:
                left = until - server.clock()
                if left <= 0:
                    return
                self._pass(min(left, held.expires_in))
                held = self.peek(key)

    def _pass(self, seconds: float) -> None:
        """Let time pass until something changes; the guard is let go of meanwhile."""
        clock = self._server.clock
        if not isinstance(clock, ManualClock):
            self._server.changed.wait(seconds)
        elif clock.jumps:
            clock.move(seconds)
        else:
            clock.moved.wait()

    def check(self) -> list[str]:
        """Warn that nobody else can see these leases."""
        return [
            f"{self.url} is seen by one process alone: neither other workers nor the other"
            " processes of a prefork pool keep to its locks. It is meant for tests"
        ]


_servers: dict[str, MemoryServer] = {}


@promises(*Feature)
def open_memory(
    url: str, *, options: Mapping[str, Any], deadline: float, prefix: str
) -> MemoryStore:
    """Open `memory://` or `memory://name`: the same server for the same name in this process."""
    if options:
        raise LockConfigurationError(
            f"{url} takes no options (lock_store_options has {', '.join(sorted(options))})"
        )
    name = url.partition("://")[2]
    server = _servers.setdefault(name, MemoryServer())
    return MemoryStore(server, name=name, prefix=prefix, deadline=deadline)
