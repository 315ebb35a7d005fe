"""Beats of several schedulers as processes: what each sent, and what it asked of the store."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import names
from .processes import BenchError, Child
from .server import Server

__all__ = [
    "BEAT",
    "BROKER",
    "CONTENDERS",
    "EVERY",
    "LOCK_OF_REDBEAT",
    "QUEUE",
    "SENT",
    "STORE",
    "Message",
    "calls_of",
    "messages",
    "running",
    "settle",
]

BROKER, STORE, EVERY = "BENCH_BROKER", "BENCH_STORE", "BENCH_EVERY"
"""Variables: two URLs, and the seconds between two runs of the job."""
QUEUE = "bench"
SENT, BEAT = "bench_sent", "bench_beat"
"""Headers of a message: the seconds since 1970, and the process id of the beat."""
LOCK_OF_REDBEAT = 10.0
"""Seconds. By default it is 1500, and nobody would see the end of the gap."""

_STARTING = 60.0


@dataclass(frozen=True)
class Contender:
    """Some beats with one scheduler."""

    name: str
    scheduler: str
    beats: int


CONTENDERS = (
    Contender(names.PLAIN_BEATS, "celery.beat:PersistentScheduler", 2),
    Contender(names.REDBEAT, "redbeat.RedBeatScheduler", 2),
    *(
        Contender(names.locked_beats(number), "celery_lock.beat:LockedScheduler", number)
        for number in (2, 3)
    ),
)


@dataclass(frozen=True)
class Message:
    """What a beat sent."""

    at: float
    beat: int


@contextmanager
def running(
    directory: Path, store: Server, broker: Server, every: float
) -> Iterator[list[tuple[Contender, Child]]]:
    """Start all beats of all contenders, each with databases of its own, and wait until they run.

    `every`: seconds between two runs of their one job. Raises `BenchError`.
    """
    directory.mkdir()
    logs: list[Path] = []
    started: list[tuple[Contender, Child]] = []
    with ExitStack() as stack:
        for number, each in enumerate(CONTENDERS):
            env = {key: value for key, value in os.environ.items() if not key.startswith("CELERY_")}
            env |= {STORE: _url(store, number), BROKER: _url(broker, number), EVERY: f"{every}"}
            for beat in range(each.beats):
                log = directory / f"{number}-{beat}.log"
                argv = [sys.executable, "-m", "celery", "-A", "benchmarks.beat_app", "beat"]
                argv += ["-S", each.scheduler, "--loglevel", "INFO", "--pidfile", ""]
                argv += ["--schedule", str(log.with_suffix(".schedule"))]
                started.append((each, stack.enter_context(Child(argv, log, env=env))))
                logs.append(log)
        until = time.monotonic() + _STARTING
        while not all("beat: Starting..." in log.read_text() for log in logs):
            dead = [child for _, child in started if not child.alive()]
            if dead or time.monotonic() > until:
                raise BenchError(
                    "a beat does not start:\n" + (dead or [started[0][1]])[0].last_words()
                )
            time.sleep(0.1)
        yield started


def settle(broker: Server) -> None:
    """Wait until each schedule has fired, and two seconds more for what is done once."""
    until = time.monotonic() + _STARTING
    while not all(messages(broker, number) for number in range(len(CONTENDERS))):
        if time.monotonic() > until:
            raise BenchError("a beat starts, and sends nothing")
        time.sleep(0.1)
    time.sleep(2)


def _url(server: Server, db: int) -> str:
    return server.url.removesuffix("0") + str(db)


def messages(broker: Server, db: int) -> list[Message]:
    """Return what the beats of one contender have sent, in order."""
    with broker.client(db=db) as client:
        raw: Any = client.lrange(QUEUE, 0, -1)
    headers = [json.loads(each)["headers"] for each in raw]
    return sorted((Message(h[SENT], h[BEAT]) for h in headers), key=lambda one: one.at)


@contextmanager
def calls_of(store: Server) -> Iterator[Any]:
    """Yield what tells how many commands clients have sent to each database.

    The server's own statistics count what a script does as well; what it shows to a monitor
    tells the two apart.
    """
    seen: Counter[int] = Counter()
    rest = b""
    with store.socket() as sock:
        sock.sendall(b"*1\r\n$7\r\nMONITOR\r\n")
        sock.settimeout(0.2)

        def count() -> Mapping[int, int]:
            nonlocal rest
            while True:
                try:
                    more = sock.recv(1 << 16)
                except TimeoutError:
                    return Counter(seen)
                *lines, rest = (rest + more).split(b"\r\n")
                for line in lines:  # +1795446500.123456 [3 127.0.0.1:4711] "EVALSHA" ...
                    db, _, who = line.partition(b"[")[2].partition(b"]")[0].partition(b" ")
                    if db and who != b"lua":
                        seen[int(db)] += 1

        yield count
