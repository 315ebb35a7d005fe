"""Measure what surprises users, each with real workers and a Redis of its own.

    python -m tools.surprises [idle] [bytes] [skip] [success] [again] [poison] [gevent] [chain]

It takes about six minutes for all, prints one line for each number, and judges nothing: the
pages say the numbers, and whoever changes a policy looks whether they are still so.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis

from tests.services import RedisServer, Worker, find_redis
from tests.services.worker import Pool
from tools.surprises.spread import spread


class Stage:
    """A Redis for the broker, one for the store, and workers of the app."""

    def __init__(self, folder: Path, broker: RedisServer, store: RedisServer) -> None:
        os.environ["SURPRISES_STORE"] = store.url
        from tools.surprises.app import make_app  # it reads the variable

        self.folder, self.broker, self.store = folder, broker, store
        self.app = make_app(broker_url=broker.url)
        self.client: redis.Redis = store.client()

    def worker(
        self, pool: Pool = "prefork", concurrency: int = 2, prefetch: int = 4, *, clean: bool = True
    ) -> Worker:
        env = {"SURPRISES_STORE": self.store.url, "SURPRISES_PREFETCH": str(prefetch)}
        if clean:
            self.client.flushdb()
            with self.broker.client() as client:
                client.flushdb()
        name = f"{pool}-{time.monotonic_ns()}"
        return Worker(
            "tools.surprises.app",
            self.folder / name,
            broker=self.broker.url,
            env=env,
            pool=pool,
            concurrency=concurrency,
        )

    def send(self, task: str, *args: object) -> None:
        self.app.tasks[task].delay(*args)

    def book(self, name: str) -> list[list[str]]:
        lines = self.client.lrange(f"surprises:{name}", 0, -1)
        return [line.decode().split() for line in lines]

    def skipped(self, book: str) -> int:
        """How many lines of a book are of skipped runs."""
        return sum(words == ["True"] for words in self.book(book))

    def wait_for(self, name: str, lines: int, timeout: float) -> bool:
        """Wait for lines in a book; `False`: they did not come."""
        end = time.monotonic() + timeout
        while len(self.book(name)) < lines and time.monotonic() < end:
            time.sleep(0.05)
        return len(self.book(name)) >= lines


def idle(stage: Stage) -> None:
    """How long a key is free before the task runs that was sent again for it."""
    for seconds in (0.2, 1, 5, 20):
        with stage.worker("threads", 60, prefetch=2):
            for pair in range(24):
                stage.send("hold.requeue", f"{pair}", seconds)
                stage.send("hold.requeue", f"{pair}", seconds)
            assert stage.wait_for("hold", 48, 120)
            times: dict[str, list[tuple[float, float]]] = {}
            for key, began, ended in stage.book("hold"):
                times.setdefault(key, []).append((float(began), float(ended)))
        free = [second[0] - first[1] for first, second in map(sorted, times.values())]
        print(f"idle: held for {seconds} s, then free for {spread(free)}", flush=True)


def size(stage: Stage) -> None:
    """What a key costs in the store for the minute after its task ended."""
    count = 2000
    with stage.worker("threads", 10):
        before = int(stage.client.info("memory")["used_memory_dataset"])
        for number in range(count):
            stage.send("hold.requeue", f"order-{number:06}", 0)
        assert stage.wait_for("hold", count, 90)
        time.sleep(1)
        stage.client.delete("surprises:hold")
        keys = [key for key in stage.client.scan_iter(count=500) if b"order-" in key]
        bytes_ = int(stage.client.info("memory")["used_memory_dataset"]) - before
        one = stage.client.memory_usage(keys[0])
        lives = max(stage.client.pttl(key) for key in keys[-200:])
    print(
        f"bytes: {len(keys)} of {count} keys are kept, {bytes_ / max(len(keys), 1):.0f} bytes each"
        f" ({one} by MEMORY USAGE), for {lives / 1000:.0f} s more at most"
    )


def skipping(stage: Stage) -> None:
    """A job of 1.5 s that is sent each second, with `skip()`, by the number of processes."""
    for processes in (1, 2):
        with stage.worker(concurrency=processes, prefetch=4):
            for _ in range(20):
                stage.send("noting.skip", "job", 1.5)
                time.sleep(1)
            ran, skipped = len(stage.book("noting")), stage.skipped("task_success")
            time.sleep(12)
            late = len(stage.book("noting")) - ran
        print(
            f"skip: {processes} processes, 20 messages in 20 s: {ran} ran, {skipped} were skipped,"
            f" {late} ran in the 12 s after that",
            flush=True,
        )


def success(stage: Stage) -> None:
    """Whether `on_success` and `task_success` come for skipped runs."""
    with stage.worker(concurrency=2):
        stage.send("noting.skip", "one", 3)
        time.sleep(1)
        for _ in range(8):
            stage.send("noting.skip", "one", 3)
        assert stage.wait_for("on_success", 9, 20)
        for book in ("on_success", "task_success"):
            print(f"success: {book} came for {stage.skipped(book)} of 8 skipped runs", flush=True)


def again(stage: Stage) -> None:
    """How far a job comes that sends itself again as its last act."""
    for policy in ("requeue", "skip", "wait", "fail"):
        for after in (0, 0.05):
            with stage.worker(concurrency=2):
                began = time.time()
                stage.send(f"again.{policy}", "self", 1, after)
                stage.wait_for("again", 21, 60 if policy in ("requeue", "wait") else 8)
                lines = stage.book("again")
                took = float(lines[-1][1]) - began
            print(
                f"again: {policy}, ends {after} s after sending: {len(lines)} of 21 rounds,"
                f" {took:.1f} s",
                flush=True,
            )


def poison(stage: Stage) -> None:
    """How long good tasks wait for a key that one message takes and dies with, for ever."""
    for policy in ("requeue", "often", "long"):
        with stage.worker(concurrency=4):
            stage.send(f"poison.{policy}", "bad")
            time.sleep(1)
            began = time.time()
            for _ in range(3):
                stage.send(f"hold.{policy}", "bad", 0.05)
            stage.wait_for("hold", 3, 60)
            waits = sorted(float(began_) - began for _, began_, _ in stage.book("hold"))
            deaths = len(stage.book("poison"))
        said = ", ".join(f"{one:.1f}" for one in waits) or "none"
        print(f"poison: {policy}: 3 good tasks ran after {said} s; {deaths} deaths", flush=True)


def greenlets(stage: Stage) -> None:
    """Whether two bodies are in one key where a body blocks its greenlets beyond the ttl of 3 s."""
    pools: list[Pool] = ["gevent", "threads", "prefork"]
    for pool in pools:
        with stage.worker(pool, 1, prefetch=1) as _, stage.worker(pool, 1, prefetch=1, clean=False):
            stage.send("stuck.often", "stuck", 9)
            time.sleep(1)
            stage.send("stuck.often", "stuck", 9)
            assert stage.wait_for("stuck", 2, 60)
            (_, _, ended), (_, began, _) = sorted(stage.book("stuck"), key=lambda one: one[1])
        both = float(ended) - float(began)
        print(f"gevent: {pool}: two bodies at once for {max(both, 0):.1f} s", flush=True)


def chain(stage: Stage) -> None:
    """Who comes first between two steps of a chain that have one key."""
    from celery import chain as chained

    first, gaps = 0, []
    with stage.worker(concurrency=3):
        step = stage.app.tasks["hold.often"]
        rival = stage.app.tasks["hold.long"]
        for number in range(20):
            chained(step.si(f"{number}", 0.4), step.si(f"{number}", 0.4)).delay()
            time.sleep(0.15)
            if number % 2:
                rival.delay(f"{number}", 0.11)
            assert stage.wait_for("hold", 2 + number % 2, 20)
            times = sorted((float(one[1]), float(one[2])) for one in stage.book("hold"))
            stage.client.delete("surprises:hold")
            if number % 2:
                first += round(times[1][1] - times[1][0], 1) == 0.1
            else:
                gaps.append(times[1][0] - times[0][1])
    print(f"chain: free between two steps for {spread(gaps)}; a rival came first {first} of 10")


PLAYS: dict[str, Callable[[Stage], None]] = {
    "idle": idle,
    "bytes": size,
    "skip": skipping,
    "success": success,
    "again": again,
    "poison": poison,
    "gevent": greenlets,
    "chain": chain,
}


def main(words: list[str]) -> int:
    """Play what is named, or all."""
    binary = find_redis()
    assert binary, "a Redis server is missing"
    with (
        tempfile.TemporaryDirectory(prefix="surprises-") as temporary,
        RedisServer(binary, Path(temporary) / "broker") as broker,
        RedisServer(binary, Path(temporary) / "store") as store,
    ):
        stage = Stage(Path(temporary), broker, store)
        for name in words or list(PLAYS):
            PLAYS[name](stage)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
