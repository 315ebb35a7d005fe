"""Two plain beats fire the same schedule a little apart: a lock makes one run of each tick."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.apps import beat_app
from tests.services import RedisServer, wait_for
from tests.services.fixtures import WorkerFactory
from tests.services.process import Process
from tests.services.worker import CHECKOUT

APP = "tests.integration.apps.beat_app:app"
TICKS = 2

StartBeat = Callable[[str], Process]


@pytest.fixture
def start_beat(fresh_redis: RedisServer, tmp_path: Path) -> Iterator[StartBeat]:
    """Start a beat with a schedule file of its own."""
    with ExitStack() as stack:

        def start(name: str) -> Process:
            schedule = str(tmp_path / f"schedule-{name}")
            argv = ["-A", APP, "beat", "--loglevel=INFO", f"--schedule={schedule}"]
            env = {key: value for key, value in os.environ.items() if not key.startswith("CELERY_")}
            beat = Process(
                [sys.executable, "-m", "celery", *argv],
                cwd=tmp_path,
                log=tmp_path / f"{name}.log",
                env={
                    **env,
                    "PYTHONPATH": str(CHECKOUT),
                    "PYTHONUNBUFFERED": "1",
                    "CELERY_BROKER_URL": fresh_redis.url,
                    beat_app.STORE: fresh_redis.url,
                },
            )
            stack.callback(beat.kill)
            beat.start()
            return beat

        yield start


def sent(beat: Process, kind: str) -> int:
    return beat.logs().count(f"Sending due task {kind} (beats.{kind})")


def test_two_beats_make_one_run_of_each_tick_with_a_lock_and_two_without(
    fresh_redis: RedisServer, worker_factory: WorkerFactory, start_beat: StartBeat
) -> None:
    url = fresh_redis.url
    worker = worker_factory(
        "tests.integration.apps.beat_app:app", broker=url, backend=url, env={beat_app.STORE: url}
    )
    # both at once: how far apart they are is how differently long a program takes to start
    beats = [start_beat(name) for name in ("first", "second")]
    for beat in beats:
        beat.wait_for_log(r"beat: Starting", 30)

    wait_for(
        lambda: worker.logs().count("succeeded in") >= 4 * TICKS,
        "the end of all messages of these ticks",
        timeout=40.0,
    )
    for beat in beats:
        beat.kill()

    with fresh_redis.client() as redis:
        ran = {kind: int(redis.get(f"ran:{kind}") or 0) for kind in ("locked", "plain")}
    assert [sent(beat, kind) for beat in beats for kind in ran] == [TICKS] * 4
    assert ran == {"locked": TICKS, "plain": 2 * TICKS}
    assert worker.logs().count("skipped, will not run: lock 'report'") == TICKS
