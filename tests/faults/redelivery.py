"""A message is delivered again: its copy never runs beside the first one, or after its success."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import celery

from tests.faults import app as app_module
from tests.faults import bodies
from tests.faults.bodies import dead, tell
from tests.faults.history import Finding, Run, find, read, runs_of
from tests.faults.sweeper import Sweeper
from tests.services import Proxy, RabbitServer, RedisServer, Worker, wait_for

__all__ = ["CASES", "Case", "Played", "Scale", "play_rabbit", "play_redis"]

APP = "tests.faults.app"
LATE = "late"
TTL = 2.0
BY = 20.0


@dataclass(frozen=True)
class Scale:
    """The times of a play."""

    visibility: float
    """Seconds after which Redis delivers a message again that nobody has acknowledged."""
    body: float
    """Seconds of a long body."""


@dataclass(frozen=True)
class Case:
    """What is done, and how many runs must come to their end."""

    name: str
    ends: int | None
    """How many of its runs come to their own end, over all its tasks; `None`: as many as like, for
    comparison."""


CASES = (
    Case("the body outlives the visibility timeout", 1),
    Case("the same without a lock", None),
    Case("the same with skip()", 1),
    Case("its worker is killed while a copy waits", 1),
    Case("the same with skip() and a killed worker", 1),
    Case("a copy is still queued when the run has ended", 1),
    Case("it rejects itself to be requeued", 1),
    Case("its worker is shut down cold", 1),
    Case("a task id is used twice, one after the other", 2),
    Case("a task id is used twice, both queued", 2),
    Case("it replaces itself", 1),
    Case("it retries", 1),
    Case("RabbitMQ: its connection is lost", 1),
    Case("RabbitMQ: its worker is killed", 1),
)
LONG, PLAIN, SKIP, KILLED, KILLED_SKIP, QUEUED, REJECTS, COLD, TWICE, BOTH = CASES[:10]
REPLACES, RETRIES, CUT, RABBIT_KILLED = CASES[10:]


@dataclass(frozen=True)
class Played:
    """A case, and what its bodies recorded."""

    case: Case
    runs: tuple[Run, ...]
    found: Finding
    waiting: tuple[str, ...] = ()
    """Tasks of which the broker still had a message at the end."""

    @property
    def ends(self) -> int:
        """How many runs came to their own end."""
        return sum(run.how == "done" for run in self.runs)

    @property
    def wrong(self) -> tuple[str, ...]:
        """What is not as promised."""
        if self.case.ends is None:
            return ()
        wrong = []
        if self.found.overlaps:
            wrong.append(f"{len(self.found.overlaps)} overlaps")
        if self.found.backward:
            wrong.append("a token did not grow")
        if self.ends != self.case.ends:
            wrong.append(f"{self.ends} runs came to their end, not {self.case.ends}")
        if self.waiting:
            wrong.append("a message is left in the broker")
        return tuple(wrong)


@dataclass
class Redeliveries:
    """An app that sends, workers that come and go, and one book."""

    app: celery.Celery
    book: Path
    start: Callable[..., Worker]
    sent: dict[Case, tuple[str, list[str]]] = field(default_factory=dict)

    def send(
        self,
        case: Case,
        queue: str,
        body: str,
        seconds: float,
        *,
        task_id: str = "",
        kind: str = "locked",
    ) -> str:
        """Send one task of a case."""
        task_id = task_id or uuid.uuid4().hex
        key, ids = self.sent.setdefault(case, (f"key-{len(self.sent)}", []))
        ids.append(task_id)
        self.app.tasks[f"faults.{kind}.{LATE}"].apply_async(
            (str(self.book), key, body, seconds), task_id=task_id, queue=queue
        )
        return task_id

    def runs(self, case: Case) -> list[Run]:
        """All runs of a case."""
        return [run for run in runs_of(read(self.book)) if run.key == self.sent[case][0]]

    def started(self, *cases: Case) -> None:
        """Wait for the first body of each."""
        for case in cases:
            wait_for(partial(self.runs, case), f"the body of {case.name!r}")

    def ended(self, *cases: Case, times: int = 0) -> None:
        """Wait, but not for ever, until as many runs have ended as shall."""
        until = time.monotonic() + BY
        while time.monotonic() < until:
            if all(self._ends(case) >= (times or case.ends or 1) for case in cases):
                return
            time.sleep(0.05)

    def _ends(self, case: Case) -> int:
        return sum(run.how == "done" for run in self.runs(case))

    def kill(self, worker: Worker) -> None:
        """kill -9 all of it; what ran in it is dead."""
        pids = worker.process.members()
        worker.process.kill()
        for pid in pids:
            assert dead(pid)
            tell(self.book, "died", pid=pid)

    def shut_down_cold(self, worker: Worker) -> None:
        """SIGQUIT, and its end."""
        pids = worker.process.members()
        worker.process.signal(signal.SIGQUIT)
        worker.process.wait(20)
        worker.process.kill()
        for pid in pids:
            tell(self.book, "died", pid=pid)

    def take(self, worker: Worker, queue: str) -> None:
        """The worker consumes this queue too, from now on."""
        self.app.control.add_consumer(queue, reply=True, destination=[worker.hostname])

    def leave(self, worker: Worker, queue: str) -> None:
        """The worker no more consumes this queue."""
        self.app.control.cancel_consumer(queue, reply=True, destination=[worker.hostname])

    def played(self, waiting: Callable[[Sequence[str]], Sequence[str]]) -> list[Played]:
        """What came of all cases."""
        made = []
        for case, (_, ids) in self.sent.items():
            runs = self.runs(case)
            made.append(Played(case, tuple(runs), find(runs, ids), tuple(waiting(ids))))
        return made


@contextmanager
def _redeliveries(folder: Path, broker: str, store: str, scale: Scale) -> Iterator[Redeliveries]:
    env = {
        bodies.TTL: str(TTL),
        app_module.VISIBILITY: str(scale.visibility),
        app_module.STORE: store,
    }
    with ExitStack() as stack:

        def start(*queues: str, concurrency: int = 4, broker: str = broker) -> Worker:
            worker = Worker(
                APP,
                folder,
                broker=broker,
                backend=store,
                concurrency=concurrency,
                queues=queues,
                args=["--prefetch-multiplier=2"],
                env=env,
            )
            stack.callback(worker.process.kill)
            return worker.start(ready=False)

        app: Any = app_module.make_app(broker_url=broker, result_backend=store)
        app.conf.broker_transport_options["visibility_timeout"] = scale.visibility
        stack.callback(app.close)
        yield Redeliveries(app, folder / f"book-{uuid.uuid4().hex[:6]}.jsonl", start)


def play_redis(server: RedisServer, db: int, folder: Path, scale: Scale) -> list[Played]:
    """All cases on Redis, at the same time, each with its own key."""
    url = server.url_for(db)
    half = 0.75 * scale.visibility
    """So long that a copy may exist."""
    with _redeliveries(folder, url, url, scale) as setup, Sweeper(setup.app):
        doomed = setup.start("doomed", concurrency=2)
        cold = setup.start("cold", concurrency=2)
        first, second = (
            setup.start("pair", concurrency=7),
            setup.start("pair", "held", concurrency=7),
        )
        for worker in (doomed, cold, first, second):
            worker.wait_ready()

        setup.send(LONG, "pair", "returns", scale.body)
        setup.send(PLAIN, "pair", "returns", scale.body, kind="plain")
        setup.send(SKIP, "pair", "returns", scale.body, kind="skipping")
        setup.send(KILLED, "doomed", "returns", scale.body)
        setup.send(KILLED_SKIP, "doomed", "returns", scale.body, kind="skipping")
        setup.send(QUEUED, "held", "returns", scale.visibility + 1.5)
        setup.send(COLD, "cold", "returns", scale.body + scale.visibility)
        setup.send(REJECTS, "pair", "requeues", half)
        setup.send(REPLACES, "pair", "replaces", half)
        setup.send(RETRIES, "pair", "retries", half)
        again = setup.send(TWICE, "pair", "returns", half)
        both = setup.send(BOTH, "pair", "returns", half)
        setup.send(BOTH, "pair", "returns", half, task_id=both)
        setup.started(KILLED, KILLED_SKIP, QUEUED, COLD)
        setup.leave(second, "held")  # nobody takes its copy now
        setup.take(first, "doomed")
        setup.take(second, "cold")
        began = max(run.start for case in (KILLED, KILLED_SKIP) for run in setup.runs(case))

        setup.ended(TWICE, times=1)
        setup.send(TWICE, "pair", "returns", half, task_id=again)
        # the broker looks once a second for what has been delivered for too long
        time.sleep(max(0.0, began + scale.visibility + 1.3 - time.monotonic()))
        setup.kill(doomed)
        setup.shut_down_cold(cold)
        with server.client(db=db) as client:
            # who was killed as it looked for what comes back leaves kombu's mutex for five minutes
            client.delete("unacked_mutex")
        setup.ended(QUEUED)
        setup.take(first, "held")  # only now somebody sees the copy of what has succeeded

        setup.ended(*(case for case in setup.sent))
        time.sleep(1.5 * scale.visibility + 1.0)  # whoever still comes now comes too often

        def waiting(ids: Sequence[str]) -> list[str]:
            with server.client(db=db) as client:
                kept = [
                    m for q in ("pair", "doomed", "held", "cold") for m in client.lrange(q, 0, -1)
                ]
                kept += client.hvals("unacked")
            return [one for one in ids if any(one.encode() in message for message in kept)]

        return setup.played(waiting)


def play_rabbit(
    rabbit: RabbitServer, vhost: str, server: RedisServer, db: int, folder: Path, scale: Scale
) -> list[Played]:
    """RabbitMQ delivers again at once when it loses the connection of who has a message."""
    store = server.url_for(db)
    with (
        Proxy(rabbit.port) as wire,
        _redeliveries(folder, rabbit.url_for(vhost), store, scale) as setup,
    ):
        near = setup.start("wired", concurrency=2, broker=rabbit.url_for(vhost, port=wire.port))
        doomed = setup.start("doomed", concurrency=2)
        other = setup.start("other", concurrency=4)
        for worker in (near, doomed, other):
            worker.wait_ready()
        setup.send(CUT, "wired", "returns", scale.body)
        setup.send(RABBIT_KILLED, "doomed", "returns", scale.body)
        setup.started(CUT, RABBIT_KILLED)
        setup.take(other, "wired")
        setup.take(other, "doomed")

        wire.cut()
        setup.kill(doomed)

        setup.ended(CUT, RABBIT_KILLED)
        time.sleep(TTL + 3.0)

        def waiting(ids: Sequence[str]) -> list[str]:
            with setup.app.connection_for_write() as connection:
                channel: Any = connection.default_channel
                left = sum(
                    channel.queue_declare(queue, passive=True).message_count
                    for queue in ("wired", "doomed")
                )
            return list(ids) if left else []

        return setup.played(waiting)
