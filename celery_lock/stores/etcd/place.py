"""What all questions of a store need: the cluster, the names, the leases, the time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ...errors import StoreError, StoreUnavailable
from ...model.clock import Clock, steady
from ...model.per_process import PerProcess, look_for_fork
from .connection import Request
from .errors import Refusal
from .leases import TIME_TO_LIVE, Leases, Renewed, Waited
from .names import Names, after, decoded, encoded
from .txn import RANGE, TXN, read_range, txn
from .view import Entry, Left, View, entries_of

__all__ = ["Call", "Cluster", "LeaseGone", "Place", "view_of", "whole"]


class LeaseGone(Exception):
    """A lease of etcd that was to be used has ended."""


class Cluster(Protocol):
    """What is asked of the gateway; see `Gateway`."""

    @property
    def shown(self) -> str:
        """Where it is."""
        ...

    @property
    def deadline(self) -> float:
        """Seconds that one call may take."""
        ...

    def ask_each(
        self,
        requests: Sequence[Request],
        within: float | None = None,
        *,
        call: float | None = None,
    ) -> list[Any]:
        """Ask several things in one round trip, for a call that has so many seconds in all."""
        ...

    def refused(self, refusal: Refusal) -> StoreError:
        """Return our error for a refusal."""
        ...


class Place:
    """One store on one cluster, as all of its questions see it."""

    def __init__(
        self, cluster: Cluster, prefix: str, *, clock: Clock = steady, wall: Clock = time.time
    ) -> None:
        self.cluster = cluster
        self.names = Names(prefix)
        self.clock = clock
        self._wall = wall
        self._leases = PerProcess(lambda: Leases(clock))

    @property
    def leases(self) -> Leases:
        """The leases of this process."""
        return self._leases.value

    def now(self) -> int:
        """Microseconds since 1970, by this machine's clock: etcd has none that can be asked."""
        return round(self._wall() * 1e6)

    def call(self, within: float | None = None) -> Call:
        """Begin a call."""
        look_for_fork()
        seconds = self.cluster.deadline if within is None else within
        return Call(self, min(seconds, self.cluster.deadline))


class Call:
    """One call of the store: all that it asks has one deadline."""

    def __init__(self, place: Place, seconds: float) -> None:
        self.place = place
        self.leases = place.leases
        self._seconds = seconds
        self._ends = place.clock() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; raises `StoreUnavailable` if there are none."""
        left = self._ends - self.place.clock()
        if left <= 0:
            raise StoreUnavailable(
                self.place.cluster.shown,
                f"it gave no final answer within {self._seconds:.3g} s: others asked for the same"
                " key again and again, or there was no time left to ask it",
            )
        return left

    def ask(self, path: str, asked: Any) -> Any:
        """Ask one thing; raises `LeaseGone`, or `StoreError` for any other refusal."""
        return self.asked([(path, asked)])[0]

    def asked(self, requests: Sequence[Request]) -> list[Any]:
        """Ask several things; raises for the first that is refused."""
        answers = self.place.cluster.ask_each(requests, self.left, call=self._seconds)
        for answer in answers:
            if isinstance(answer, Refusal):
                raise self.failure(answer)
        return answers

    def failure(self, refusal: Refusal) -> Exception:
        """Return what a refusal is raised as."""
        if refusal.is_lease_gone:
            return LeaseGone()
        failure = self.place.cluster.refused(refusal)
        failure.__cause__ = refusal
        return failure

    def view(self, base: bytes) -> View:
        """Look at all entries of a key."""
        answer = self.ask(TXN, txn([], [read_range(base)]))
        return view_of(answer, answer["responses"][0], base)

    def names(self, beginning: bytes) -> list[str]:
        """Return the names of all entries that begin so, as the gateway writes them, in pages.

        Each page is of its own moment: an old one may be compacted before the last is read.
        """
        found: list[str] = []
        start, end = encoded(beginning), encoded(after(beginning))
        while True:
            page = self.ask(
                RANGE,
                {
                    "key": start,
                    "range_end": end,
                    "keys_only": True,
                    "limit": str(PAGE),
                },
            )
            names = [kv["key"] for kv in page.get("kvs", ())]
            found += names
            if not page.get("more"):
                return found
            start = encoded(decoded(names[-1]) + b"\0")

    def renewed(self, ttl: float) -> Renewed:
        """Return the lease for what this process renews for so long."""
        try:
            return self.leases.renewed(ttl, self.ask, self.left)
        except Waited:
            raise StoreUnavailable(
                self.place.cluster.shown,
                f"it did not keep a lease alive within {self._seconds:.3g} s, for which another"
                " thread of this process waits, too",
            ) from None

    def kept(self, life: float, slack: float) -> int:
        """Return a lease for what lives so long and is not renewed."""
        return self.leases.kept(life, slack, self.ask)

    def lefts(self, entries: Iterable[Entry]) -> Left:
        """Ask how long these entries live still; the others are taken to live their whole life."""
        ids = list(dict.fromkeys(entry.lease for entry in entries if entry.lease))[:MOST]
        answers = self.asked([(TIME_TO_LIVE, {"ID": str(one)}) for one in ids]) if ids else []
        seconds = {
            # whole seconds, rounded down
            one: max(0.0, float(answer.get("TTL", 0))) + 0.5
            for one, answer in zip(ids, answers, strict=True)
        }

        def left(entry: Entry) -> float:
            life = whole(entry)
            return min(life, seconds.get(entry.lease, life))

        return left


MOST = 100
"""How many leases are asked for their time at most: of more permits the rest is estimated."""


PAGE = 2000
"""How many names one request reads at most, so that it keeps nobody waiting for long."""


def whole(entry: Entry) -> float:
    """Return for how long an entry was written."""
    return max(0.001, float(entry.value.get("d", 1.0)))


def view_of(answer: Mapping[str, Any], read: Mapping[str, Any], base: bytes) -> View:
    """Read what a transaction has shown of a key."""
    revision = int(answer["header"]["revision"])
    return View(revision, entries_of(read["response_range"], base))
