"""Empty tasks through a real worker: what a lock costs the publisher, and what the worker."""

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
from .processes import BenchError, Child
from .processor import used
from .results import Row, Section, column
from .rounds import in_turns, seconds_each
from .server import Server
from .sizes import Sizes

__all__ = ["measure"]

CONCURRENCY = 2
"""Child processes, or threads, of the worker."""
AT_ONCE = 10
"""Tasks of a kind that are published in a row, before it is another one's turn."""

_STARTING = 60.0
_RUNNING = 120.0


def measure(server: Server, sizes: Sizes, pool: str, directory: Path) -> Section:
    """Publish and run a few tasks of each kind, in turns, all in one worker."""
    tasks = _tasks(server)
    with server.client() as client, _worker(server, pool, directory) as worker:
        _wait_ready(tasks, client, worker)
        numbers = count(int(time.time() * 1000))
        waiting: set[str] = set()
        published: dict[str, list[float]] = {name: [] for name in tasks.TASKS}
        spent: dict[str, list[float]] = {name: [] for name in tasks.TASKS}

        def publish() -> None:
            """Publish the tasks of a whole round, and note how many a second of each kind."""
            _mark_all(tasks)
            with on_cpus(CLIENT):
                senders = {name: _sender(tasks, name, numbers) for name in tasks.TASKS}
                taken = in_turns(senders, sizes.tasks // AT_ONCE - 1)
            _mark_all(tasks)
            for name, each in taken.items():
                published[name].append(len(each) / sum(each))
            waiting.update(tasks.TASKS)

        def turn(name: str) -> float:
            """Return how many tasks the worker runs a second."""
            if name not in waiting:
                publish()
            waiting.discard(name)
            before = used(worker.pid)
            # the queue is there all at once: the worker never waits for the publisher
            client.rename(tasks.filled(name), tasks.QUEUE)
            first, last = (_next_mark(tasks, client, worker, _RUNNING) for _ in range(2))
            after = used(worker.pid)
            if before is not None and after is not None:
                spent[name].append((after - before) / sizes.tasks)
            return sizes.tasks / (last - first) * 1e9

        turns = {name: _turn_of(turn, name) for name in tasks.TASKS}
        run = in_turns(turns, sizes.task_rounds, sizes.seconds)
    columns = {
        names.WORKER: column(run, names.PLAIN),
        names.PUBLISHER: column(_counted(published), names.PLAIN),
    }
    if spent[names.PLAIN]:
        columns[names.PROCESSOR] = column(_counted(spent), names.PLAIN, scale=1e6)
    return Section(
        names.throughput(pool),
        f"Throughput, pool {pool}",
        f"{sizes.tasks * len(run[names.PLAIN]):,} empty tasks of each kind, published and then run"
        f" by one worker with a concurrency of {CONCURRENCY}; broker and locks are on one server."
        f" Ratios are to a plain task; the one with {names.PINGS_IN_BODY} shows what the round"
        " trips alone cost."
        " celery-once and celery-singleton take their lock as they publish, and none when the task"
        " runs.",
        names.PLAIN,
        [
            Row(name, {title: cells[name] for title, cells in columns.items()})
            for name in tasks.TASKS
        ],
    )


def _mark_all(tasks: ModuleType) -> None:
    for name in tasks.TASKS:
        tasks.mark.apply_async(queue=tasks.filled(name))


def _sender(tasks: ModuleType, name: str, numbers: Iterator[int]) -> Callable[[], float]:
    """Return what publishes some tasks, and returns the seconds for one."""
    task, queue = tasks.TASKS[name], tasks.filled(name)
    return lambda: seconds_each(lambda: task.apply_async((next(numbers),), queue=queue), AT_ONCE)


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
    argv += ["--pool", pool, "--concurrency", str(CONCURRENCY), "--loglevel", "WARNING"]
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
