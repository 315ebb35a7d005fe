"""Plays one row of the brokers: messages of one key, three ways, on a real broker and workers."""

from __future__ import annotations

import math
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.faults.bodies import dead, tell
from tests.faults.broker_app import ACKS, KIND, PAUSE, STORE, VISIBILITY, make_app
from tests.faults.broker_rows import TWINS, BrokerRow
from tests.faults.history import read
from tests.services import Proxy, RabbitServer, RedisServer, Worker
from tests.services.sqs_server import SqsServer

__all__ = ["BrokerOutcome", "Brokers", "Twin", "brokers", "play_broker"]

APP = "tests.faults.broker_app"
JOBS = 8
BESIDE = 4
PROCESSES = 2
BY = 40.0
SLACK = 2.0
"""Seconds by which a wait may differ for no reason of ours: two pauses of one second."""
MOMENT = 0.1
"""Seconds from the end of a body until its message is acknowledged, at most."""
HANGS = 3.0
"""Seconds for which the store gives no answer: longer than one call waits for it."""


@dataclass(frozen=True)
class Twin:
    """What came of the messages, one way."""

    overlaps: int
    lost: int
    twice: int
    """Messages whose body came to its end more than once."""
    unsettled: int
    """Messages whose process died within a moment of their end, before it was known anywhere:
    acknowledged late, they come again."""
    last: float
    """Seconds until the last body ended."""
    beside: float
    """Seconds that the slowest quick task of somebody else waited in the same queue."""


@dataclass(frozen=True)
class BrokerOutcome:
    """One row, played."""

    row: BrokerRow
    twins: dict[str, Twin]

    @property
    def wrong(self) -> tuple[str, ...]:
        """What is not as promised."""
        locked, plain, nx = (self.twins[name] for name in TWINS)
        wrong = []
        if locked.overlaps:
            wrong.append(f"{locked.overlaps} overlaps")
        killed = self.row.event == "worker killed"
        # acknowledged early, the one message that each of them was at goes with it
        excused = PROCESSES if killed and self.row.acks == "early" else 0
        if locked.lost > max(plain.lost, excused):
            wrong.append(f"{locked.lost} lost, a plain task {plain.lost}")
        twice = min(plain.twice, nx.twice)
        if locked.twice > max(twice, locked.unsettled if self.row.acks == "late" else 0):
            wrong.append(f"{locked.twice} ran twice, {twice} without the lock")
        if not nx.lost and locked.last > 1.2 * nx.last + SLACK:
            wrong.append(f"the last ended after {locked.last:.1f} s, with NX after {nx.last:.1f} s")
        # what the dead worker had prefetched comes back when Redis and SQS show it again
        again = VISIBILITY if killed else 0
        if locked.beside > 1.2 * max(nx.beside, plain.beside) + again + SLACK:
            wrong.append(f"others waited {locked.beside:.1f} s, with NX {nx.beside:.1f} s")
        return tuple(wrong)

    @property
    def verdict(self) -> str:
        """`ok`, or what is wrong."""
        return "; ".join(self.wrong) or "ok"


@dataclass
class Brokers:
    """The servers of these rows."""

    redis: RedisServer
    rabbit: RabbitServer | None
    sqs: SqsServer
    databases: Iterator[int] = field(default_factory=count)

    def port(self, broker: str) -> int:
        """Return the port on which a broker listens."""
        server: Any = {"redis": self.redis, "sqs": self.sqs}.get(broker, self.rabbit)
        return int(server.port)

    def url(self, broker: str, port: int, place: str) -> str:
        """Return the address of a broker behind a port."""
        if broker == "redis":
            return self.redis.url_for(int(place), port=port)
        if broker == "sqs":
            return self.sqs.url_for(port=port)
        assert self.rabbit is not None
        return self.rabbit.url_for(place, port=port)

    def place(self, broker: str) -> str:
        """Return a place of its own for a row: a database or a virtual host."""
        if broker == "redis":
            return str(next(self.databases) % 16)
        return "" if broker == "sqs" or self.rabbit is None else self.rabbit.new_vhost()


@contextmanager
def brokers(redis: str, rabbit: str | None, folder: Path) -> Iterator[Brokers]:
    """Start the servers."""
    with ExitStack() as stack:
        yield Brokers(
            stack.enter_context(RedisServer(redis, folder / "brokers-redis")),
            stack.enter_context(RabbitServer(rabbit, folder / "brokers-rabbit"))
            if rabbit
            else None,
            stack.enter_context(SqsServer(folder / "brokers-sqs")),
        )


def play_broker(row: BrokerRow, made: Brokers, binary: str, folder: Path) -> BrokerOutcome:
    """Play one row, its three twins at the same time, each on a worker and a queue of its own."""
    name = uuid.uuid4().hex[:6]
    place = made.place(row.broker)
    with ExitStack() as stack:
        store = stack.enter_context(RedisServer(binary, folder / f"store-{name}"))
        if row.broker == "sqs":
            made.sqs.empty()
        elif row.broker == "redis":
            with made.redis.client(db=int(place)) as client:
                client.flushdb()
        book = folder / f"brokers-{name}.jsonl"
        wires = {twin: stack.enter_context(Proxy(made.port(row.broker))) for twin in TWINS}
        env = {KIND: row.broker, STORE: store.url, ACKS: row.acks}

        def start(twin: str) -> Worker:
            worker = Worker(
                APP,
                folder / f"{name}-{twin}",
                broker=made.url(row.broker, wires[twin].port, place),
                concurrency=PROCESSES,
                queues=[twin],
                env=env,
            )
            stack.callback(worker.process.kill)
            return worker.start(ready=False)

        workers = {twin: start(twin) for twin in TWINS}
        for worker in workers.values():
            worker.wait_ready()
        url = made.url(row.broker, made.port(row.broker), place)
        os.environ[STORE] = store.url
        app = make_app(row.broker, store.url, acks_late=row.acks == "late", broker_url=url)
        stack.callback(app.close)
        began, sent = time.monotonic(), _send(app, book, name)
        _happen(row, workers, wires, store, start, book)
        _wait_for_the_end(book, sent, workers, start)
        if row.event != "nothing":
            time.sleep(1.0)  # whoever still comes now comes too often
        lines = read(book)
        twins = {twin: _came(lines, twin, sent[twin], began) for twin in TWINS}
        return BrokerOutcome(row, twins)


def _send(app: Any, book: Path, name: str) -> dict[str, list[str]]:
    sent: dict[str, list[str]] = {twin: [] for twin in TWINS}
    for number in range(JOBS):
        for twin in TWINS:
            one = app.tasks[twin].apply_async((str(book), f"{twin}-{name}"), queue=twin)
            sent[twin].append(one.id)
            if number % 2:
                arguments = (str(book), twin, time.time())
                app.tasks["beside"].apply_async(arguments, queue=twin)
    return sent


def _happen(
    row: BrokerRow,
    workers: dict[str, Worker],
    wires: dict[str, Proxy],
    store: RedisServer,
    start: Callable[[str], Worker],
    book: Path,
) -> None:
    time.sleep(0.7)
    if row.event == "worker killed":
        for twin, worker in list(workers.items()):
            pids = worker.process.members()
            worker.process.kill()
            for pid in pids:
                if dead(pid):
                    tell(book, "died", pid=pid)
            workers[twin] = start(twin)
    elif row.event == "connection cut":
        for wire in wires.values():
            wire.cut()
            wire.forward()
    elif row.event == "store hangs":
        store.process.pause()
        time.sleep(HANGS)
        store.process.resume()


def _wait_for_the_end(
    book: Path,
    sent: dict[str, list[str]],
    workers: dict[str, Worker],
    start: Callable[[str], Worker],
) -> None:
    """Wait until nothing more has ended for a while, or all has; be a worker's supervisor."""
    until, seen, since = time.monotonic() + BY, 0, time.monotonic()
    while time.monotonic() < until:
        for twin, worker in list(workers.items()):
            # kombu's SQS ends its worker, the plain one as well, where a poll's answer is cut off
            if not worker.process.alive():
                worker.process.kill()  # the rest of its group
                workers[twin] = start(twin)
        lines = read(book)
        ended = {line["task_id"] for line in lines if line["what"] == "end"}
        if all(task_id in ended for ids in sent.values() for task_id in ids):
            return
        if len(lines) != seen:
            seen, since = len(lines), time.monotonic()
        if time.monotonic() - since > 12 * PAUSE:
            return
        time.sleep(0.1)


def _came(lines: list[dict[str, Any]], twin: str, ids: list[str], began: float) -> Twin:
    died = {line["pid"]: line["at"] for line in lines if line["what"] == "died"}
    ends = [line for line in lines if line["what"] == "end" and line["task_id"] in ids]
    ended = {line["run"]: line["at"] for line in ends}
    starts = [line for line in lines if line["what"] == "start" and line["task_id"] in ids]
    spans = sorted(
        (line["at"], ended.get(line["run"], died.get(line["pid"], line["at"]))) for line in starts
    )
    overlaps = sum(
        later < end for number, (_, end) in enumerate(spans) for later, _ in spans[number + 1 :]
    )
    counted = Counter(line["task_id"] for line in ends)
    waited = [
        line["waited"] for line in lines if line["what"] == "beside" and line["queue"] == twin
    ]
    return Twin(
        overlaps,
        len(set(ids) - set(counted)),
        sum(times > 1 for times in counted.values()),
        sum(died.get(line["pid"], math.inf) - line["at"] < MOMENT for line in ends),
        max((line["at"] for line in ends), default=began) - began,
        max(waited) if len(waited) == BESIDE else BY,
    )
