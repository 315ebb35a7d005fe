"""A cluster of etcd that is played in memory, on a clock that a test moves.

It speaks what the gateway speaks, and knows no more of etcd than the store asks for: transactions
with compares of ranges, leases, the revision. `tests/contract/test_etcd.py` passes the same
contract on a real one.
"""

from __future__ import annotations

import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from celery_lock.errors import StoreError
from celery_lock.model import Feature
from celery_lock.stores.etcd import EtcdStore
from celery_lock.stores.etcd.connection import Request
from celery_lock.stores.etcd.errors import Refusal
from celery_lock.stores.etcd.place import Place
from celery_lock.stores.manual_clock import ManualClock

EPOCH = 1_700_000_000.0
MOST = 128
"""Operations of one transaction, and compares, at most."""


@dataclass(frozen=True)
class Kv:
    value: str
    made: int
    written: int
    lease: int
    at: float = 0.0
    """When it was written."""


class FakeEtcd:
    """One cluster; several stores may use it."""

    deadline = 10.0
    shown = "etcd://fake:2379"

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.revision = 1
        self.entries: dict[bytes, Kv] = {}
        self.leases: dict[int, tuple[int, float]] = {}
        self.asked: list[str] = []
        self.trips = 0
        self.times: tuple[float | None, float | None] = None, None
        """Of the last trip: the seconds it had, and those of its call."""
        self.hears: Callable[[str, Any], None] | None = None
        """Is told of each request before it is answered."""
        self.lives_longer = 0.0
        """Seconds by which leases outlive their time."""
        self._numbers = 7_000
        self._guard = threading.RLock()

    def store(self, prefix: str = "celery-lock:") -> EtcdStore:
        """Return a new store on it."""
        return _Store(self, prefix)

    def ask_each(
        self,
        requests: Sequence[Request],
        within: float | None = None,
        *,
        call: float | None = None,
    ) -> list[Any]:
        """Answer in order, as over one connection."""
        with self._guard:
            self.trips += 1
            self.times = within, call
            return [self._answer(path, asked) for path, asked in requests]

    def refused(self, refusal: Refusal) -> StoreError:
        return StoreError(refusal.text)

    def end_lease(self, number: int) -> None:
        """End a lease as the cluster does, with all that lives on it."""
        self.leases.pop(number, None)
        gone = [name for name, kv in self.entries.items() if kv.lease == number]
        if gone:
            self.revision += 1
            for name in gone:
                del self.entries[name]

    # -- what is asked -----------------------------------------------------------------------

    def _answer(self, path: str, asked: Any) -> Any:
        self.asked.append(path)
        if self.hears is not None:
            self.hears(path, asked)
        for number, (_, ends) in list(self.leases.items()):
            if ends + self.lives_longer <= self.clock():
                self.end_lease(number)
        try:
            return getattr(self, "_" + path.removeprefix("/v3/").replace("/", "_"))(asked)
        except Refusal as refusal:
            return refusal

    def _header(self) -> dict[str, Any]:
        return {"revision": str(self.revision)}

    def _lease_grant(self, asked: Any) -> Any:
        self._numbers += 1
        life = max(2, int(asked["TTL"]))
        self.leases[self._numbers] = (life, self.clock() + life)
        return {"header": self._header(), "ID": str(self._numbers), "TTL": str(life)}

    def _lease_keepalive(self, asked: Any) -> Any:
        number = int(asked["ID"])
        if number not in self.leases:
            return {"header": self._header(), "ID": asked["ID"]}
        life, _ = self.leases[number]
        self.leases[number] = (life, self.clock() + life)
        return {"header": self._header(), "ID": asked["ID"], "TTL": str(life)}

    def _lease_timetolive(self, asked: Any) -> Any:
        number = int(asked["ID"])
        if number not in self.leases:
            return {"header": self._header(), "ID": asked["ID"], "TTL": "-1"}
        life, ends = self.leases[number]
        answer = {"ID": asked["ID"], "TTL": str(int(ends - self.clock())), "grantedTTL": str(life)}
        if asked.get("keys"):
            answer["keys"] = [
                b64encode(name).decode() for name, kv in self.entries.items() if kv.lease == number
            ]
        return {"header": self._header(), **answer}

    def _kv_range(self, asked: Any) -> Any:
        return {"header": self._header(), **self._range(asked)}

    def _kv_txn(self, asked: Any) -> Any:
        before = dict(self.entries)
        written: list[bytes] = []
        try:
            answer = self._txn(asked, written)
        except Refusal:
            self.entries = before
            raise
        if self.entries != before:
            self.revision += 1
        return {"header": self._header(), **answer}

    # -- transactions ------------------------------------------------------------------------

    def _txn(self, asked: Any, written: list[bytes]) -> dict[str, Any]:
        if max(len(asked[part]) for part in ("compare", "success", "failure")) > MOST:
            raise Refusal(3, "etcdserver: too many operations in txn request")
        succeeded = all(map(self._holds, asked["compare"]))
        done = asked["success"] if succeeded else asked["failure"]
        answer: dict[str, Any] = {"succeeded": True} if succeeded else {}
        answer["responses"] = [self._do(one, written) for one in done]
        return answer

    def _do(self, words: Any, written: list[bytes]) -> Any:
        if "request_txn" in words:
            return {"response_txn": self._txn(words["request_txn"], written)}
        if "request_range" in words:
            return {"response_range": self._range(words["request_range"])}
        if "request_put" in words:
            put = words["request_put"]
            name, lease = b64decode(put["key"]), int(put["lease"])
            if lease and lease not in self.leases:
                raise Refusal(5, "etcdserver: requested lease not found")
            if name in written:
                raise Refusal(3, "etcdserver: duplicate key given in txn request")
            written.append(name)
            revision = self.revision + 1
            was = self.entries.get(name)
            made = revision if was is None else was.made
            self.entries[name] = Kv(put["value"], made, revision, lease, self.clock())
            return {"response_put": {}}
        for name in self._names(words["request_delete_range"]):
            del self.entries[name]
        return {"response_delete_range": {}}

    def _holds(self, compare: Any) -> bool:
        field = {"CREATE": "create_revision", "MOD": "mod_revision"}[compare["target"]]
        wanted = int(compare[field])
        names = self._names(compare) or [b""]
        for name in names:
            kv = self.entries.get(name, Kv("", 0, 0, 0))
            number = kv.made if compare["target"] == "CREATE" else kv.written
            result = {
                "EQUAL": number == wanted,
                "LESS": number < wanted,
                "GREATER": number > wanted,
            }[compare["result"]]
            if not result:
                return False
        return True

    def _range(self, asked: Any) -> dict[str, Any]:
        names = self._names(asked)
        limit = int(asked.get("limit", 0)) or len(names)
        kvs = [self._shown(name, bool(asked.get("keys_only"))) for name in names[:limit]]
        answer: dict[str, Any] = {"count": str(len(names))}
        if kvs and not asked.get("count_only"):
            answer["kvs"] = kvs
        if len(names) > limit:
            answer["more"] = True
        return answer

    def _names(self, asked: Any) -> list[bytes]:
        start = b64decode(asked["key"])
        if "range_end" not in asked:
            return [start] if start in self.entries else []
        end = b64decode(asked["range_end"])
        return sorted(name for name in self.entries if start <= name < end)

    def _shown(self, name: bytes, without_value: bool) -> dict[str, Any]:
        kv = self.entries[name]
        shown = {
            "key": b64encode(name).decode(),
            "create_revision": str(kv.made),
            "mod_revision": str(kv.written),
            "value": kv.value,
            "lease": str(kv.lease),
        }
        if without_value:
            del shown["value"]
        return shown


class _Store(EtcdStore):
    def __init__(self, fake: FakeEtcd, prefix: str) -> None:
        super().__init__(fake.shown, deadline=fake.deadline, prefix=prefix)
        self._place = Place(fake, prefix, clock=fake.clock, wall=lambda: fake.clock() + EPOCH)

    @property
    def features(self) -> frozenset[Feature]:
        """All but the streams."""
        return super().features - {Feature.WATCH}

    def check(self) -> list[str]:
        return []
