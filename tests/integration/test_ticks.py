"""Ticks of a schedule on real workers: a second copy of one is dropped, what did not end runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery
import pytest
from redis import Redis

from celery_lock import is_skipped
from celery_lock.message import HEADER, named, tick_header
from tests.faults.sweeper import Sweeper
from tests.integration.apps import tick_app
from tests.services import RedisServer, VirtualHost, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory

APP = "tests.integration.apps.tick_app"


@dataclass
class TickSetup:
    """A broker, a store, and two workers."""

    app: celery.Celery
    workers: tuple[Worker, Worker]
    redis: Redis
    broker: str

    def send(self, task: str, name: str, *args: Any, **options: Any) -> Any:
        """Send one message of the tick of entry `name`, as each scheduler does."""
        tick = tick_header("ticks", name, 1_795_442_400.25)
        with named(tick["publication"], f"id-{name}"):
            return self.app.tasks[f"ticks.{task}"].apply_async(
                (name, *args), headers={HEADER: tick}, task_id=f"id-{name}", **options
            )

    def runs(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(run) for run in self.redis.lrange(f"runs:{name}", 0, -1)]

    def wait_for_runs(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        wait_for(lambda: len(self.runs(name)) >= count, f"{count} runs of {name}")
        return self.runs(name)

    def dropped(self, name: str) -> int:
        said = f"not run: it is a copy of a message that was completed under lock '{name}:{name}'"
        return sum(worker.logs().count(said) for worker in self.workers)

    def wait_until_dropped(self, name: str) -> None:
        wait_for(lambda: self.dropped(name) == 1, "the end of the copy", timeout=30.0)


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def setup(
    request: pytest.FixtureRequest,
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
) -> Iterator[TickSetup]:
    store = module_redis.url
    number = ["redis", "rabbitmq"].index(request.param)
    broker = module_redis.url_for(1)
    if number:
        vhost: VirtualHost = request.getfixturevalue("module_vhost")
        broker = vhost.url
    env = {tick_app.STORE: store}
    workers = tuple(
        module_worker_factory(APP, broker=broker, backend=store, concurrency=2, env=env)
        for _ in range(2)
    )
    conf = {"broker_url": broker, "result_backend": store, "lock_store": store}
    with sending(tick_app.make_app(**conf)) as app, module_redis.client() as redis:
        yield TickSetup(app, workers, redis, broker)  # type: ignore[arg-type]  # two of them


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex[:8]


def test_a_second_copy_of_a_tick_is_dropped_when_the_first_has_completed(
    setup: TickSetup, name: str
) -> None:
    setup.send("job", name).get(timeout=20)

    setup.send("job", name)
    setup.wait_until_dropped(name)

    (run,) = setup.runs(name)
    assert run["beat"] == {"entry": name, "due": "2026-11-23T14:00:00.250000+00:00"}


def test_two_copies_at_the_same_time_are_one_run(setup: TickSetup, name: str) -> None:
    for _ in range(2):
        setup.send("job", name, 1.0)

    setup.wait_until_dropped(name)

    assert len(setup.runs(name)) == 1


def test_a_tick_that_retries_runs_its_retry(setup: TickSetup, name: str) -> None:
    setup.send("retries", name)

    runs = setup.wait_for_runs(name, 2)

    assert [run["retries"] for run in runs] == [0, 1]
    assert {run["beat"]["entry"] for run in runs} == {name}
    assert {run["key"] for run in runs} == {f"{name}:20261123T140000.250000Z"}


def test_celery_call_twice_in_one_bucket_is_one_run(
    setup: TickSetup, name: str, tmp_path: Path
) -> None:
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("CELERY_")},
        "CELERY_BROKER_URL": setup.broker,
        "CELERY_RESULT_BACKEND": setup.app.conf.result_backend,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    results = []
    for _ in range(2):
        command = [sys.executable, "-m", "celery", "-A", APP, "call", "ticks.bucket"]
        done = subprocess.run(
            [*command, "--args", json.dumps([name])],
            env=env, cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        results.append(setup.app.AsyncResult(done.stdout.strip()).get(timeout=20))

    (run,) = setup.runs(name)
    assert run["key"] == f"{name}:20241002T000000Z"
    assert [is_skipped(result) for result in results] == [False, True]


def test_a_tick_whose_worker_was_killed_runs_again(
    setup: TickSetup, name: str, worker_factory: WorkerFactory
) -> None:
    env = {tick_app.STORE: setup.app.conf.lock_store}
    doomed = worker_factory(
        APP,
        broker=setup.broker,
        backend=setup.app.conf.result_backend,
        concurrency=1,
        queues=["doomed"],
        env=env,
    )
    setup.send("job", name, 60.0, queue="doomed")
    setup.wait_for_runs(name)

    doomed.process.kill()
    setup.app.control.add_consumer("doomed", destination=[setup.workers[0].hostname], reply=True)

    with Sweeper(setup.app) if setup.broker.startswith("redis") else nullcontext():
        runs = setup.wait_for_runs(name, 2)
    assert [run["beat"]["entry"] for run in runs] == [name, name]
    assert setup.dropped(name) == 0
