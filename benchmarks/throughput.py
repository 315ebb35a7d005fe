"""Empty tasks through a real worker: what a lock costs the publisher, and what it costs a worker."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType

import redis

from . import names
from .machine import CLIENT, on_cpus
from .processor import used
from .processes import BenchError, Child
from .results import Row, Section, column
from .rounds import in_turns
from .server import Server
from .sizes import Sizes

__all__ = ["measure"]

SLOTS = 2
"""Child processes, or threads, of the worker."""

_STARTING = 60.0
_RUNNING = 120.0


def measure(server: Server, sizes: Sizes, pool: str, directory: Path) -> Section:
    """Publish and run a few tasks of each kind, in turns, all in one worker."""
    tasks = _tasks(server)
    with server.client() as client, _worker(server, pool, directory) as worker:
        _wait_ready(tasks, client, worker)
        numbers = count(int(time.time() * 1000))
        published: dict[str, list[float]] = {name: [] for name in tasks.TASKS}
        spent: dict[str, list[float]] = {name: [] for name in tasks.TASKS}

        def turn(name: str) -> float:
            """Return tasks per second of the worker, and note those of the publisher."""
            task, arguments = tasks.TASKS[name], [next(numbers) for _ in range(sizes.tasks)]
            tasks.mark.apply_async(queue=tasks.FILLED)
            with on_cpus(CLIENT):
                began = time.perf_counter()
                for number in arguments:
                    task.apply_async((number,), queue=tasks.FILLED)
                published[name].append(sizes.tasks / (time.perf_counter() - began))
            tasks.mark.apply_async(queue=tasks.FILLED)
            before = used(worker.pid)
            # the queue is there all at once: the worker never waits for the publisher
            client.rename(tasks.FILLED, tasks.QUEUE)
            first, last = (_next_mark(tasks, client, worker, _RUNNING) for _ in range(2))
            after = used(worker.pid)
            if before is not None and after is not None:
                spent[name].append((after - before) / sizes.tasks)
            return sizes.tasks / (last - first) * 1e9

        run = in_turns({name: _turn_of(turn, name) for name in tasks.TASKS}, sizes.task_rounds)
    columns = {
        names.WORKER: column(run, names.PLAIN),
        names.PUBLISHER: column(_counted(published), names.PLAIN),
    }
    if spent[names.PLAIN]:
        columns[names.PROCESSOR] = column(_counted(spent), names.PLAIN, scale=1e6)
    return Section(
        names.throughput(pool),
        f"Throughput, pool {pool}",
        f"{sizes.tasks * sizes.task_rounds:,} empty tasks of each kind, published and then run by"
        f" one worker with {SLOTS} slots; broker and locks are on one server. Ratios are to a plain"
        " task. celery-once and celery-singleton take their lock as they publish, and none when"
        " the task runs.",
        names.PLAIN,
        [
            Row(name, {title: cells[name] for title, cells in columns.items()})
            for name in tasks.TASKS
        ],
    )


def _counted(series: dict[str, list[float]]) -> dict[str, list[float]]:
    """Leave out the first round, as `in_turns` does."""
    return {name: values[1:] for name, values in series.items()}


def _turn_of(turn: Callable[[str], float], name: str) -> Callable[[], float]:
    return lambda: turn(name)


def _tasks(server: Server) -> ModuleType:
    os.environ["BENCH_URL"] = server.url  # read as the module is imported, here and in the worker
    from . import tasks

    if server.url != tasks.URL:
        raise BenchError("the tasks belong to another server: one run has one server for them")
    return tasks


@contextmanager
def _worker(server: Server, pool: str, directory: Path) -> Iterator[Child]:
    argv = [sys.executable, "-m", "celery", "-A", "benchmarks.tasks", "worker"]
    argv += ["--pool", pool, "--concurrency", str(SLOTS), "--loglevel", "WARNING"]
    argv += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("CELERY_")}
    with Child(argv, directory / f"worker-{pool}.log", env=env) as worker:
        yield worker


def _wait_ready(tasks: ModuleType, client: redis.Redis, worker: Child) -> None:
    client.delete(tasks.MARKS)
    tasks.mark.apply_async(queue=tasks.QUEUE)
    _next_mark(tasks, client, worker, _STARTING)


def _next_mark(tasks: ModuleType, client: redis.Redis, worker: Child, seconds: float) -> int:
    until = time.monotonic() + seconds
    while time.monotonic() < until and worker.alive():
        found = client.blpop([tasks.MARKS], timeout=1)
        if found is not None:
            return int(found[1])
    raise BenchError(f"the worker does not run its tasks; it says:\n{worker.last_words()}")
