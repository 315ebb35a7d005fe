"""The leases of etcd: one for all that a process renews alike, and some for what is only kept.

To keep a lease of etcd alive costs a request, so all locks of a process that are renewed alike live
on one. That one must not keep alive what its holder renews no more: the process knows until when
each of its own was asked for, and deletes what is overdue before it keeps the lease alive.

What is only kept (queued leases, floors, marks) lives on leases that nobody keeps alive: a process
that goes takes nothing with it. All of about the same life share one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...model.clock import Clock
from ...model.mutex import new_mutex, take
from .names import encoded
from .txn import TXN, delete, made_at, txn, within

__all__ = ["GRANT", "KEEP_ALIVE", "Held", "Leases", "Renewed"]

GRANT = "/v3/lease/grant"
KEEP_ALIVE = "/v3/lease/keepalive"
TIME_TO_LIVE = "/v3/lease/timetolive"

SEARCHED_EVERY = 60.0
"""Seconds after which it is searched for entries that nobody here knows of: a claim that was given
up may have been executed long after. More often costs a request that names all entries."""
AT_ONCE = 60
"""How many overdue entries one request deletes at most; etcd allows 128 operations."""


@dataclass
class Held:
    """What this process knows of a lease of its own, or of one that it has renewed."""

    made: int
    """The revision that its entry was made at; 0: it is on its way."""
    written: int
    until: float
    """When its own time is over, by the steady clock; infinite while it is on its way."""
    ttl: float
    """For how long it was asked for last."""
    value: dict[str, Any]


@dataclass
class Renewed:
    """One lease of etcd that this process keeps alive, for one ttl."""

    ttl: float
    id: int = 0
    """0: it is to be granted first."""
    ends: float = 0.0
    """When it ends at the earliest, by the steady clock."""
    searched: float = 0.0
    entries: dict[bytes, Held] = field(default_factory=dict)
    asking: Any = field(default_factory=new_mutex)

    @property
    def life(self) -> int:
        """For how many seconds it is asked for: claims in the meantime need no keep-alive."""
        return math.ceil(self.ttl + max(1.0, self.ttl / 6))


@dataclass(frozen=True)
class _Kept:
    id: int
    ends: float


class Waited(Exception):
    """Another thread of this process has been asking for the same lease for too long."""


Ask = Callable[[str, Any], Any]


class Leases:
    """The leases of one process. A child that was forked makes its own."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._guard = new_mutex()
        self._renewed: dict[float, Renewed] = {}
        self._kept: list[_Kept] = []
        self._homes: dict[bytes, Renewed] = {}

    # -- what is renewed ---------------------------------------------------------------------

    def renewed(self, ttl: float, ask: Ask, patience: float) -> Renewed:
        """Return the lease for this ttl, which lives for at least so long from now on."""
        with self._guard:
            lease = self._renewed.get(ttl)
            if lease is None:
                self._forget_unused()
                lease = self._renewed[ttl] = Renewed(ttl)
        needed = self.clock() + ttl
        if not (lease.id and lease.ends >= needed):
            if not take(lease.asking, patience):
                raise Waited
            try:
                if not (lease.id and lease.ends >= needed):  # another thread may have done it
                    self._prolong(lease, ask)
            finally:
                lease.asking.release()
        return lease

    def _prolong(self, lease: Renewed, ask: Ask) -> None:
        if lease.id:
            for swept in self.sweeps(lease):
                ask(TXN, swept)
                self.swept(lease, swept)
            sent = self.clock()
            if self.kept_alive(lease, ask(KEEP_ALIVE, {"ID": str(lease.id)}), sent):
                return
        sent = self.clock()
        answer = ask(GRANT, {"TTL": str(lease.life)})
        lease.id, lease.ends = int(answer["ID"]), sent + int(answer["TTL"])
        lease.searched = sent

    def kept_alive(self, lease: Renewed, answer: Any, sent: float) -> bool:
        """Read the answer to a keep-alive; `False`: the lease has ended, and all on it."""
        life = int(answer.get("TTL", 0)) if isinstance(answer, dict) else 0
        if life > 0:
            lease.ends = max(lease.ends, sent + life)
            return True
        self.gone(lease)
        return False

    def gone(self, lease: Renewed) -> None:
        """Forget a lease of etcd that has ended, and what lived on it."""
        with self._guard:
            lease.id, lease.ends = 0, 0.0
            for name in [name for name, one in lease.entries.items() if one.made]:
                lease.entries.pop(name, None)
                self._homes.pop(name, None)

    def all_gone(self) -> None:
        """Use none of these leases of etcd any more: one of them has ended, and which is unknown.

        What lives on them is still known, so that a renewal moves it.
        """
        with self._guard:
            self._renewed.clear()
            self._kept.clear()
            now = self.clock()
            for name, home in list(self._homes.items()):
                held = home.entries.get(name)
                if held is None or held.until <= now:
                    del self._homes[name]

    # -- what lives on it --------------------------------------------------------------------

    def note(self, lease: Renewed | None, name: bytes, held: Held) -> None:
        """Know of an entry: it is about to be written, or has been."""
        with self._guard:
            before = self._homes.get(name)
            if before is not None and before is not lease:
                before.entries.pop(name, None)
            if lease is None:
                self._homes.pop(name, None)
            else:
                self._homes[name] = lease
                lease.entries[name] = held

    def forget(self, name: bytes) -> None:
        """Know no more of an entry: it was deleted, or never written."""
        with self._guard:
            home = self._homes.pop(name, None)
            if home is not None:
                home.entries.pop(name, None)

    def find(self, name: bytes) -> tuple[Renewed, Held] | None:
        """Return what is known of an entry that this process renews."""
        home = self._homes.get(name)
        held = home.entries.get(name) if home is not None else None
        return None if home is None or held is None else (home, held)

    def sweeps(self, lease: Renewed) -> list[dict[str, Any]]:
        """Return what deletes the entries on a lease whose own time is over."""
        now = self.clock()
        with self._guard:
            over = [(name, one.made) for name, one in lease.entries.items() if one.until <= now]
        return [
            txn([], [_deleted(*each) for each in over[first : first + AT_ONCE]])
            for first in range(0, len(over), AT_ONCE)
        ]

    def swept(self, lease: Renewed, sweep: dict[str, Any]) -> None:
        """Forget what was deleted so."""
        names = {one["request_txn"]["compare"][0]["key"] for one in sweep["success"]}
        for name in [name for name in list(lease.entries) if encoded(name) in names]:
            self.forget(name)

    def _forget_unused(self) -> None:
        now = self.clock()
        for ttl, lease in list(self._renewed.items()):
            if not lease.entries and lease.ends < now:
                del self._renewed[ttl]

    # -- what is only kept -------------------------------------------------------------------

    def kept(self, life: float, slack: float, ask: Ask) -> int:
        """Return a lease that ends in `life` seconds, and at most some `slack` later."""
        now = self.clock()
        with self._guard:
            self._kept = [one for one in self._kept if one.ends > now]
            for one in self._kept:
                if life <= one.ends - now <= life + slack + 1:
                    return one.id
        answer = ask(GRANT, {"TTL": str(math.ceil(life + slack))})
        new = _Kept(int(answer["ID"]), now + int(answer["TTL"]))
        with self._guard:
            self._kept.append(new)
        return new.id


def _deleted(name: bytes, made: int) -> dict[str, Any]:
    # who was not heard of may have been made at any revision: its name is its own
    compare = made_at(name, made) if made else {**made_at(name, 0), "result": "GREATER"}
    return within(txn([compare], [delete(name)]))
