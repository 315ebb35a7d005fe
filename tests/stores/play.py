"""Plays one row: servers, broker and workers are started, the load runs, the fault comes."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.faults.history import read
from tests.services import RedisServer, WaitedTooLong, Worker, wait_for
from tests.stores import app as app_module
from tests.stores.rows import Row
from tests.stores.stage import Stage
from tests.stores.verdict import Moments, Play, judge

__all__ = ["play"]

PROCESSES = 4
"""Of each of the two workers."""
WAITING = 24
"""Tasks that are sent and not done: as many as keep all processes and some keys busy."""
AT_LEAST = 0.5
"""Seconds after which one more is sent in any case: those that met a dead store come back seconds
later, and an application goes on to send meanwhile."""
DRAIN = 60.0
"""Seconds after which a task that has not come to its end is counted as lost."""
QUEUES = ("left", "right")
"""Each worker has its own, so that both have work at all times."""


def play(row: Row, binary: str, folder: Path, numbers: Sequence[int]) -> Iterator[Play]:
    """Play it once for each number, which says what keys and bodies there are, on one set of
    servers and workers: more than one number is for a row that `heals`."""
    folder.mkdir(parents=True)
    book = folder / "book.jsonl"
    with ExitStack() as stack:
        group = stack.enter_context(row.servers(folder / "servers"))
        broker = stack.enter_context(RedisServer(binary, folder / "broker"))
        stage = stack.enter_context(Stage(group))
        setup: dict[str, Any] = {
            "url": group.url,
            "options": {**group.options, **row.options},
            "ttl": row.ttl,
            "book": str(book),
        }
        ways: list[dict[int, int]] = [stage.ways, {}]  # the left one can be cut off
        workers = [
            Worker(
                app_module.__name__,
                folder / queue,
                broker=broker.url,
                concurrency=PROCESSES,
                queues=[queue],
                env={app_module.SETUP: json.dumps({**setup, "ways": way})},
            )
            for queue, way in zip(QUEUES, ways, strict=True)
        ]
        for worker in workers:
            stack.callback(worker.process.kill)
            worker.start(ready=False)
        app: Any = app_module.make_app(setup, broker_url=broker.url)
        stack.callback(app.close)
        for worker in workers:
            worker.wait_ready(180.0)
        for number in numbers:
            yield _played(row, stage, Load(app, row, book, number))


def _played(row: Row, stage: Stage, load: Load) -> Play:
    load.book.with_suffix(".over").unlink(missing_ok=True)
    begun = time.monotonic()
    load.start()
    time.sleep(row.before)
    struck = time.monotonic()
    row.befall(stage)
    healed = time.monotonic()
    time.sleep(row.goes_on)
    over = time.monotonic()
    load.stop()
    lines = [line for line in read(load.book) if line["at"] >= begun]
    return judge(
        lines,
        load.sent,
        Moments(begun, struck, healed, over),
        row.promise,
        locked=row.locked,
        by_itself=stage.group.by_itself(),
    )


class Load:
    """Sends tasks for a few keys on a thread of its own, as fast as they are done."""

    def __init__(self, app: Any, row: Row, book: Path, number: int) -> None:
        self.book = book
        self.sent: list[str] = []
        self._app = app
        self._row = row
        self._random = random.Random(f"{row.name} {number}")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more, let bodies leave early, and wait until all tasks are done, or too long."""
        self._over.set()
        self._thread.join(DRAIN)
        self.book.with_suffix(".over").touch()
        with contextlib.suppress(WaitedTooLong):  # whoever is missing is counted as lost
            wait_for(lambda: self._done() >= set(self.sent), "all tasks", timeout=DRAIN, poll=0.1)

    def _run(self) -> None:
        last = time.monotonic()
        while not self._over.wait(0.05):
            wanted = WAITING - len(set(self.sent) - self._done())
            if wanted <= 0 and time.monotonic() - last > AT_LEAST:
                wanted = 1
            for _ in range(wanted):
                self._send()
                last = time.monotonic()

    def _send(self) -> None:
        names = app_module.LOCKED if self._row.locked else app_module.PLAIN
        choose, longest = self._random, self._row.body * self._row.ttl
        long = choose.random() < 0.3
        seconds = choose.uniform(0.5, longest) if long else choose.uniform(0.05, 0.5)
        task = self._app.tasks[choose.choice(names)]
        key = f"key-{choose.randrange(self._row.keys)}"
        queue = QUEUES[len(self.sent) % len(QUEUES)]
        self.sent.append(task.apply_async((str(self.book), key, seconds), queue=queue).id)

    def _done(self) -> set[str]:
        lines = read(self.book)
        tasks = {line["run"]: line["task_id"] for line in lines if line["what"] == "start"}
        return {
            tasks[line["run"]] for line in lines if line["what"] == "end" and line["how"] == "done"
        }
