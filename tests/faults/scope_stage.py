"""Where a row of the scopes is played: its servers, workers and publishers, and what they note."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery.result import EagerResult

from celery_lock.errors import LockConflict, StoreUnavailable
from celery_lock.stores import open_store
from tests.faults import scope_app
from tests.faults.history import read
from tests.faults.scope_rows import ScopeRow
from tests.services import Proxy, RabbitServer, RedisServer, Worker, wait_for
from tests.services.sqs_server import SqsServer

__all__ = ["Stage", "staged"]

APP = "tests.faults.scope_app"
CHECKOUT = Path(__file__).parents[2]
(WHEEL,) = (CHECKOUT / "tests" / "wheels").glob("*.whl")
BY = 25.0


@dataclass
class Stage:
    """One row's servers and processes."""

    row: ScopeRow
    folder: Path
    store: RedisServer
    url: str
    wire: Proxy
    stack: ExitStack
    key: str
    app: Any = None
    sent: list[str] = field(default_factory=list)
    """Task ids that somebody was told of, and that are to run."""
    answered: int = 0
    """Duplicates that were not sent."""
    since: float = 0.0
    """When the fault was."""
    workers: list[Worker] = field(default_factory=list)

    @property
    def book(self) -> Path:
        return self.folder / "book.jsonl"

    def env(self, **more: str) -> dict[str, str]:
        """Return the variables of a process of the row."""
        return {
            scope_app.BROKER: self.row.broker,
            scope_app.STORE: self.store.url,
            scope_app.BOOK: str(self.book),
            scope_app.ACKS: self.row.acks,
            **more,
        }

    def worker(self, *, old: bool = False, concurrency: int = 2, **env: str) -> Worker:
        """Start a worker. `old`: with the package of the release before."""
        place = self.folder / f"w{len(self.workers)}"
        if old:
            # the wheel stands before this checkout
            env |= {"PYTHONPATH": os.pathsep.join([str(WHEEL), str(CHECKOUT)])}
        worker = Worker(
            APP,
            place,
            broker=self.through,
            concurrency=concurrency,
            queues=[scope_app.QUEUE],
            env=self.env(**env),
        )
        self.stack.callback(worker.process.kill)
        self.workers.append(worker.start())
        return worker

    @property
    def through(self) -> str:
        """The broker's address by way of the wire that may be cut."""
        before, _, rest = self.url.rpartition(":")
        _, slash, place = rest.partition("/")
        return f"{before}:{self.wire.port}{slash}{place}"

    # -- publishing --------------------------------------------------------------------------

    def publish(self, seconds: float = 0.3, **options: Any) -> str:
        """Publish one; return its task id, `""` if it is not sent."""
        task = self.app.tasks[self.row.scope]
        arguments = (self.key, seconds)
        try:
            result = task.apply_async(arguments, queue=scope_app.QUEUE, **options)
        except (LockConflict, StoreUnavailable):
            return ""
        if isinstance(result, EagerResult):
            self.answered += 1
            return ""
        self.sent.append(result.id)
        return str(result.id)

    def publish_until_sent(self) -> None:
        """Publish until one is sent: until then the key is kept for another one."""
        wait_for(self.publish, "one that is sent", timeout=BY)

    def by_name(self, seconds: float = 0.3) -> str:
        """Publish one as somebody does who has no such task."""
        result = self.app.send_task(self.row.scope, (self.key, seconds), queue=scope_app.QUEUE)
        self.sent.append(result.id)
        return str(result.id)

    def publisher(self, seconds: float = 0.3, *, old: bool = False, **env: str) -> dict[str, Any]:
        """Publish one from a process of its own; return what it says, nothing if it dies."""
        program = [sys.executable, "-m", "tests.faults.scope_publish", self.row.scope, self.key]
        path = [str(WHEEL)] * old + [str(CHECKOUT)]
        done = subprocess.run(
            [*program, str(seconds), ""],
            env={**os.environ, "CELERY_BROKER_URL": self.url, **self.env(**env)}
            | {"PYTHONPATH": os.pathsep.join(path)},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said: dict[str, Any] = json.loads(done.stdout) if done.stdout.strip() else {}
        if "id" in said:
            self.sent.append(said["id"])
        return said

    # -- what has happened -------------------------------------------------------------------

    def lines(self, what: str = "") -> list[dict[str, Any]]:
        """Return what was noted."""
        return [line for line in read(self.book) if not what or line["what"] == what]

    def stopped(self) -> int:
        """Wait until a process stands where it was told to stop; return its pid."""
        wait_for(lambda: self.lines("stopped"), "a process that stops", timeout=15)
        return int(self.lines("stopped")[0]["pid"])

    def wait_started(self, count: int = 1) -> None:
        """Wait until so many bodies have begun."""
        wait_for(lambda: len(self.lines("start")) >= count, f"{count} bodies", timeout=15)

    def now(self) -> None:
        """The fault is now."""
        self.since = time.monotonic()

    @property
    def name(self) -> str:
        """The name of the row's key in the store."""
        if self.row.limit != 1:
            return f"permits:{self.key}"
        queued = "%queued" if self.row.scope == "until_started" else ""
        return f"{self.row.scope}:{self.key}{queued}"

    def wait_ended(self) -> tuple[set[str], float]:
        """Wait until all that was sent has run and the key is free, or for a while.

        Returns what has not run, and the seconds from the fault until the key was free.
        """
        store = open_store(self.store.url)
        until, taken = time.monotonic() + BY, self.since
        try:
            while time.monotonic() < until:
                left = self._left()
                if store.peek(self.name) is not None:
                    taken = time.monotonic()
                elif not left or (len(left) <= self.row.may_lose and self._is_idle(taken)):
                    break
                time.sleep(0.05)
            return self._left(), max(0.0, taken - self.since)
        finally:
            store.close()

    def _left(self) -> set[str]:
        ended = {line["task_id"] for line in self.lines("end")}
        # who was skipped for the sake of one that ran has lost nothing
        ended |= {line["task_id"] for line in self.lines("skipped") if line["by"] in ended}
        return set(self.sent) - ended

    def _is_idle(self, taken: float) -> bool:
        last = max([taken, *(line["at"] for line in self.lines())])
        return time.monotonic() - last > 5.0


@contextmanager
def staged(
    row: ScopeRow, binary: str, folder: Path, rabbit: RabbitServer | None, sqs: SqsServer
) -> Iterator[Stage]:
    """Set a row up; nothing runs yet."""
    name = uuid.uuid4().hex[:6]
    place = folder / f"scope-{name}"
    place.mkdir(parents=True)
    with ExitStack() as stack:
        store = stack.enter_context(RedisServer(binary, place / "store"))
        if row.broker == "redis":
            broker: Any = stack.enter_context(RedisServer(binary, place / "broker"))
            url = broker.url
        elif row.broker == "rabbit":
            assert rabbit is not None
            broker, url = rabbit, rabbit.url_for(rabbit.new_vhost())
        else:
            sqs.empty()
            broker, url = sqs, sqs.url_for(port=sqs.port)
        wire = stack.enter_context(Proxy(broker.port))
        stage = Stage(row, place, store, url, wire, stack, f"k{name}")
        yield stage
