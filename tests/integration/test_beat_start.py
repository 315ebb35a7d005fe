"""What a beat says and does as it starts, is asked to stop, and runs within a worker."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.services import RedisServer, wait_for
from tests.services.fixtures import RedisFactory, WorkerFactory
from tests.services.process import Process
from tests.services.worker import CHECKOUT

APP = "tests.integration.apps.start_app"
SCHEDULER = "celery_lock.beat:LockedScheduler"
EACH_SECOND = {"tick": {"task": "somebody.elses", "schedule": 1.0}}

StartBeat = Callable[..., Process]


@pytest.fixture
def start_beat(redis_url: str, tmp_path: Path) -> Iterator[StartBeat]:
    """Start a beat with these settings."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Process:
            settings = {"broker_url": redis_url, "beat_schedule": EACH_SECOND, **settings}
            env = {key: value for key, value in os.environ.items() if not key.startswith("CELERY_")}
            beat = Process(
                [sys.executable, "-m", "celery", "-A", APP, "beat", "-S", SCHEDULER, "-l", "INFO"],
                cwd=tmp_path,
                log=tmp_path / "beat.log",
                env={
                    **env,
                    "PYTHONPATH": str(CHECKOUT),
                    "PYTHONUNBUFFERED": "1",
                    "TEST_SETTINGS": json.dumps(settings),
                },
            )
            stack.callback(beat.kill)
            beat.start()
            beat.wait_for_log(r"beat: Starting", 30)
            return beat

        yield start


def waiting(server: RedisServer) -> int:
    """How many messages wait in the default queue."""
    with server.client() as client:
        return int(client.llen("celery"))


def test_a_wrong_password_is_named_without_it_and_the_beat_lives_on(
    start_beat: StartBeat, redis_factory: RedisFactory
) -> None:
    guarded = redis_factory(password="pass@word")

    beat = start_beat(lock_store=guarded.url_for(password="guess/ed"))
    beat.wait_for_log(r"ERROR.*no tick can be claimed", 20)
    beat.signal(signal.SIGTERM)

    assert beat.wait(15) == 0
    assert "the beat starts all the same" in beat.logs()
    assert beat.logs().count("ERROR") == 1
    assert "guess" not in beat.logs()


def test_a_beat_that_starts_before_its_store_publishes_once_that_answers(
    start_beat: StartBeat, redis_factory: RedisFactory, fresh_redis: RedisServer
) -> None:
    store = redis_factory()
    url = store.url
    store.stop()
    beat = start_beat(broker_url=fresh_redis.url, lock_store=url)
    beat.wait_for_log(r"ERROR.*no tick can be claimed", 20)
    assert waiting(fresh_redis) == 0

    store.start()

    wait_for(lambda: waiting(fresh_redis) >= 2, "two ticks", timeout=15)


def test_ctrl_c_ends_a_beat_and_leaves_no_claim(
    start_beat: StartBeat, fresh_redis: RedisServer
) -> None:
    beat = start_beat(broker_url=fresh_redis.url, lock_store=fresh_redis.url)
    wait_for(lambda: waiting(fresh_redis) >= 1, "a tick", timeout=15)

    beat.signal(signal.SIGINT)

    assert beat.wait(10) == 0
    with fresh_redis.client() as client:
        (name,) = [key for key in client.scan_iter("celery-lock:*") if key.endswith(b":tick")]
        assert b"claim" not in b" ".join(client.hvals(name))
    assert "Traceback" not in beat.logs()


def test_two_workers_with_a_beat_inside_publish_each_tick_once(
    worker_factory: WorkerFactory, fresh_redis: RedisServer
) -> None:
    schedule = {"each": {"task": f"{APP}.later", "schedule": 1.0}}
    settings = {"beat_schedule": schedule, "lock_store": fresh_redis.url}
    for _ in range(2):
        worker_factory(
            APP,
            broker=fresh_redis.url,
            backend=fresh_redis.url,
            pool="threads",
            env={"TEST_SETTINGS": json.dumps(settings)},
            args=("--beat", "--scheduler", SCHEDULER),
        )

    def ticks() -> list[str]:
        with fresh_redis.client() as client:
            return [key.decode() for key in client.scan_iter("celery-task-meta-*")]

    wait_for(lambda: len(ticks()) >= 4, "the results of four ticks", timeout=30)
    with fresh_redis.client() as client:
        (name,) = [key for key in client.scan_iter("celery-lock:*") if key.endswith(b":each")]
        count = json.loads(client.hget(name, "v"))["count"]

    # one that has been published may still run, and none has run that was not counted
    assert len(ticks()) - 1 <= count <= len(ticks()) + 2
