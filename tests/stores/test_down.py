"""Each way in which each store can fail, under a real worker: as locks say, and no task is lost.

A single Redis is played in `tests/integration/test_store_down.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from celery_lock import LeaseLost, StoreError
from tests.faults.history import read
from tests.services import STALL, RedisServer, Worker, find_redis, sending, wait_for
from tests.stores import down_app
from tests.stores.down_app import DEADLINE, TTL
from tests.stores.outages import PATIENCE, SECRET, Outages
from tests.stores.outages_etcd import Etcd
from tests.stores.outages_redis import Cluster, Redlock, Sentinel
from tests.stores.outages_zookeeper import ZooKeeper

KINDS: dict[str, Callable[[Path], Outages]] = {
    "sentinel": Sentinel,
    "redis+cluster": Cluster,
    "redlock": Redlock,
    "etcd": Etcd,
    "zookeeper": ZooKeeper,
}

LATE = (
    "no answer within|no answer in time|no TLS handshake|no connection came about"
    "|no final answer within|did not keep a lease alive within|not asked until it answers"
)
"""What may be said of each fault where the machine has much else to do."""
REDIS = {
    "refuses": "connection refused",
    "hangs": LATE,
    "is_slow": LATE,
    "is_a_replica": "replica",
    "has_no_quorum": LATE,
    "is_full": "its memory is full",
    "loads": "it is loading its data",
    "wants_another_password": "does not know this password",
    "has_an_expired_certificate": "certificate has expired.*renewed on the server",
}
FAULTS: dict[str, dict[str, str]] = {
    "sentinel": {
        **REDIS,
        "is_a_replica": "says that it is no primary",
        "has_sentinels_that_refuse": "connection refused",
    },
    "redis+cluster": {
        **REDIS,
        # a replica keeps nothing of its own: it names its master, to which nobody gets
        "is_a_replica": "connection refused",
        "has_no_quorum": f"its cluster is down|{LATE}",
        "loads": "it is loading its data|its cluster is down",
    },
    "redlock": REDIS,
    "etcd": {
        "refuses": "connection refused",
        "hangs": LATE,
        "is_slow": LATE,
        # a follower passes on what it is asked; without a leader there is no quorum. A member that
        # loads its data does not listen yet: it refuses
        "has_no_quorum": f"majority|{LATE}",
        "is_full": "has reached its quota",
        "wants_another_password": "does not know this password",
        "has_an_expired_certificate": "certificate has expired.*renewed on the server",
    },
    "zookeeper": {
        "refuses": "connection refused",
        "hangs": f"no server has taken a session|{LATE}",
        "is_slow": f"no server has taken a session|{LATE}",
        # the same as for etcd: a follower passes on, and who loads takes no sessions
        "has_no_quorum": f"no server has taken a session|{LATE}",
        "is_full": "the quota of its path is used up",
        "wants_another_password": "does not permit user 'down'",
        "has_an_expired_certificate": "certificate has expired.*renewed on the server",
    },
}
"""What the error says, for each kind and each fault that there is of it."""

LONG = ("hangs", "is_slow", "has_no_quorum")
"""Those that cost a claim its deadline, and end a lease."""

OUTAGE = 8.0
MANY = 100
AT_MOST = 10
"""So many of them may wait for their deadline."""


@dataclass
class Place:
    """A store, the wires to it, a worker, and an app that sends."""

    kind: str
    outages: Outages
    worker: Worker
    app: Any
    book: Path
    began: float = 0.0
    back: float = 0.0
    sent: int = 0

    def send(self, name: str) -> Any:
        """Send a task whose key nobody has ever used."""
        self.sent += 1
        return self.app.tasks[f"down.{name}"].delay(self.sent - 1)

    def lines(self, what: str, name: str = "", *, since: float = 0.0) -> list[dict[str, Any]]:
        """What the worker has recorded since this fault began."""
        return [
            line
            for line in read(self.book)
            if line["what"] == what
            and line["at"] >= (since or self.began)
            and (not name or line.get("task") == f"down.{name}")
        ]

    def refused(self) -> set[str]:
        """The keys of claims that the store did not answer."""
        return {line["key"] for line in self.lines("failed") if line["call"] == "acquire"}

    def waited(self) -> int:
        """How many claims have spent a deadline."""
        return sum(line["seconds"] > DEADLINE / 2 for line in self.lines("claim"))

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        with getattr(self.outages, name)():
            self.began = time.monotonic()
            yield
        wait_for(self.outages.answers, "the store", timeout=PATIENCE)
        self.back = time.monotonic()

    def first_grant(self) -> float:
        """How long after the store was back a task had its lock; 0: before that was known."""
        found = wait_for(lambda: self.lines("locked"), "a grant", timeout=PATIENCE)
        return max(0.0, float(found[0]["at"]) - self.back)

    def is_well(self) -> bool:
        with suppress(StoreError):
            return bool(self.send("fails").get(timeout=PATIENCE) == "locked")
        return False

    def loop_answers(self) -> bool:
        """The main loop of the worker does what it is told."""
        who = [self.worker.hostname]
        return bool(self.app.control.inspect(destination=who, timeout=DEADLINE).ping())


class Places:
    """The place of one kind, and of one at a time."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._stack = ExitStack()
        self._place: Place | None = None

    def of(self, kind: str) -> Place:
        if self._place is None or kind != self._place.kind:
            self.close()
            self._place = self._begin(kind)
        return self._place

    def close(self) -> None:
        self._place = None
        self._stack.close()

    def _begin(self, kind: str) -> Place:
        folder, stack = self._folders.mktemp("down"), self._stack
        broker = stack.enter_context(RedisServer(find_redis() or "", folder / "broker"))
        outages = stack.enter_context(KINDS[kind](folder / "store"))
        book = folder / "book.jsonl"
        setup = {
            "url": outages.url,
            "options": outages.options,
            "book": str(book),
            "ways": str(outages.ways_file),
        }
        worker = Worker(
            down_app.__name__,
            folder / "worker",
            broker=broker.url,
            backend=broker.url,
            pool="threads",
            concurrency=6,
            env={down_app.SETUP: json.dumps(setup)},
        )
        stack.callback(worker.process.kill)  # a warm shutdown takes Celery seconds
        worker.start()
        made = down_app.make_app(setup, broker_url=broker.url, result_backend=broker.url)
        return Place(kind, outages, worker, stack.enter_context(sending(made)), book)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    places = Places(tmp_path_factory)
    yield places
    places.close()


Played = Callable[[Place, str], str]


def what_a_lock_says_is_done_and_no_task_is_lost(place: Place, fault: str) -> str:
    with place.fault(fault):
        jobs = range(place.sent, place.sent + 3)
        requeued = [place.send("requeues") for _ in jobs]
        ran, failed = place.send("runs"), place.send("fails")

        assert ran.get(timeout=PATIENCE).startswith(
            "unlocked: task down.runs runs without its lock"
        )
        with pytest.raises(StoreError, match=f"{FAULTS[place.kind][fault]}|{LATE}") as raised:
            failed.get(timeout=PATIENCE)
        assert SECRET not in str(raised.value)
        wait_for(
            lambda: {f"requeues:{job}" for job in jobs} <= place.refused(),
            "the others",
            timeout=PATIENCE,
        )
        assert place.send("plain").get(timeout=PATIENCE) == "ran"
        wait_for(place.loop_answers, "the worker's loop", timeout=PATIENCE)
        waited, lasted = place.waited(), time.monotonic() - place.began
        # a full server takes a claim of whose key it has something already: an undo of the first
        assert fault == "is_full" or not any(one.ready() for one in requeued)

    assert [one.get(timeout=PATIENCE) for one in requeued] == ["locked"] * 3
    return f"{waited} waited in {lasted:.1f} s. {raised.value}"


def of_many_tasks_few_wait_and_who_runs_is_told(place: Place, fault: str) -> str:
    holding = time.monotonic()
    asks, interrupted = place.send("asks"), place.send("is_interrupted")
    wait_for(lambda: len(place.lines("holds", since=holding)) == 2, "two that hold")

    with place.fault(fault):
        sent = []
        for number in range(MANY):
            sent.append(place.send("fails"))
            time.sleep(max(0.0, place.began + (number + 1) * OUTAGE / MANY - time.monotonic()))
        requeued = place.send("requeues")
        told = wait_for(
            lambda: (lines := place.lines("told")) and len(lines) == 2 and lines,
            "two that are told",
            timeout=PATIENCE,
        )
        for one in sent:
            with pytest.raises(StoreError):
                one.get(timeout=PATIENCE)
        waited = place.waited()

    assert 1 <= waited <= AT_MOST
    # they ran until the deadline of what was renewed last
    for line in told:
        assert place.began < line["ends"] + STALL
        assert line["at"] < line["ends"] + STALL
        assert line["ends"] < place.began + TTL + STALL
    assert asks.get(timeout=PATIENCE) == "expired"
    with pytest.raises(LeaseLost):
        interrupted.get(timeout=PATIENCE)
    assert requeued.get(timeout=PATIENCE) == "locked"
    late = max(line["at"] - line["ends"] for line in told)
    return f"{waited} of {MANY} waited. Told {late:.2f} s after the deadline"


def a_hundred_spend_few_deadlines(place: Place, fault: str) -> str:
    with place.fault(fault):
        for one in [place.send("fails") for _ in range(MANY)]:
            with pytest.raises(StoreError):
                one.get(timeout=PATIENCE)
        requeued = place.send("requeues")
        spent = sum(line["seconds"] for line in place.lines("claim")) / DEADLINE

    assert spent <= AT_MOST
    assert requeued.get(timeout=PATIENCE) == "locked"
    return f"{MANY} spent {spent:.1f} deadlines"


# one test for all: the rows of one kind follow each other on the same servers and worker
PLAYS: list[tuple[str, str, Played]] = [
    (kind, fault, play)
    for kind, faults in FAULTS.items()
    for fault in faults
    for play in (
        what_a_lock_says_is_done_and_no_task_is_lost,
        of_many_tasks_few_wait_and_who_runs_is_told
        if fault in LONG
        else a_hundred_spend_few_deadlines,
    )
]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("kind", "fault", "play"),
    PLAYS,
    ids=[f"{kind}-{fault}-{play.__name__}" for kind, fault, play in PLAYS],
)
def test_a_store_is_down(
    places: Places, kind: str, fault: str, play: Played, capsys: pytest.CaptureFixture[str]
) -> None:
    place = places.of(kind)
    wait_for(place.is_well, "the store", timeout=PATIENCE)

    found = play(place, fault)

    with capsys.disabled():
        print(f"\n  {kind} {fault}: grant {place.first_grant():.2f} s after it was back; {found}")
