"""Pool processes that are spawned, and not forked: they know and note what forked ones do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery
import pytest
from billiard.exceptions import WorkerLostError
from redis import Redis

from tests.integration.apps import spawned_app
from tests.integration.keys import Keys
from tests.services import RedisServer, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory

QUICK = 30


@dataclass
class Setup:
    """A worker whose pool processes are spawned."""

    app: celery.Celery
    worker: Worker
    keys: Keys
    shared: Path
    """The folder where its processes share a file."""
    broker: str

    def send(self, name: str, job: str) -> Any:
        return self.app.tasks[f"spawned.{name}"].delay(job)


@pytest.fixture(scope="module")
def setup(
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Setup]:
    url, shared = module_redis.url_for(0), tmp_path_factory.mktemp("shared")
    worker = module_worker_factory(
        "tests.integration.apps.spawned_app",
        broker=url,
        backend=url,
        env={"TMPDIR": str(shared)},
        args=["--pool-start-method=spawn", "-E", "--time-limit=77"],
    )
    with sending(spawned_app.make_app(broker_url=url, result_backend=url)) as app:
        yield Setup(app, worker, Keys(url), shared, url)


def test_a_spawned_process_knows_what_its_worker_was_started_with(setup: Setup) -> None:
    assert setup.send("knows", "knows").get(timeout=QUICK) == [True, 77.0, False]


def test_the_key_of_a_spawned_process_that_is_killed_is_free_at_once(setup: Setup) -> None:
    """Also that of the process in its place."""
    for job in ("first", "replaced"):
        with pytest.raises(WorkerLostError):
            setup.send("dies", job).get(timeout=QUICK)
        assert setup.keys.holder(job) is None

    assert "could not be freed" not in setup.worker.logs()


def test_a_spawned_process_hears_of_a_lost_connection(setup: Setup) -> None:
    waiting = setup.send("learns", "lost connection")
    wait_for(lambda: setup.keys.holder("lost connection"), "the body's start", timeout=QUICK)
    with Redis.from_url(setup.broker) as redis:
        for client in redis.client_list():
            if client["cmd"] == "brpop":
                redis.client_kill(client["addr"])

    assert waiting.get(timeout=QUICK) is True


def test_a_spawned_process_hears_of_a_stop_and_the_file_is_gone_after_it(setup: Setup) -> None:
    assert len(list(setup.shared.glob("celery-lock*"))) == 1
    waiting = setup.send("learns", "stop")
    wait_for(lambda: setup.keys.holder("stop"), "the body's start", timeout=QUICK)

    setup.worker.stop(timeout=QUICK)

    assert waiting.get(timeout=QUICK) is True
    assert list(setup.shared.glob("celery-lock*")) == []
