"""A pool process is killed: its keys are those that it took, and are free at once, no others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import celery
import pytest
from billiard.exceptions import WorkerLostError

from tests.integration.apps import killed_app
from tests.integration.apps.history import History
from tests.integration.keys import Keys
from tests.services import RedisServer, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory

QUICK = 20


KEYS = {
    "template": ["template:{}"],
    "context": ["acme:{}"],
    "around": ["around:{}", "template:{}"],
    "several": ["z:{}", "y:{}"],
}
"""Of each task, the keys that its process has as it is killed."""


@dataclass
class Setup:
    """A worker whose pool processes are replaced after three tasks each."""

    app: celery.Celery
    worker: Worker
    keys: Keys
    history: History

    def send(self, name: str, job: str, **options: Any) -> Any:
        task = self.app.tasks[f"killed.{name}"]
        return task.apply_async((job,), headers={"tenant": "acme"}, **options)

    def all_killed(self, when: str) -> None:
        """Let a process be killed for each task, all at once: it takes Celery seconds to see."""
        results = [self.send(name, f"{name}-{when}") for name in KEYS]
        for result in results:
            with pytest.raises(WorkerLostError):
                result.get(timeout=QUICK)

    def taken(self, when: str) -> list[str]:
        keys = [key.format(f"{name}-{when}") for name in KEYS for key in KEYS[name]]
        return [key for key in keys if self.keys.holder(key) is not None]


@pytest.fixture(scope="module")
def setup(
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Setup]:
    url = module_redis.url_for(0)
    history = History(tmp_path_factory.mktemp("killed") / "history")
    worker = module_worker_factory(
        "tests.integration.apps.killed_app",
        broker=url,
        backend=url,
        concurrency=3,
        env=history.env,
        args=["--autoscale=6,3", "--max-tasks-per-child=3"],
    )
    with sending(killed_app.make_app(broker_url=url, result_backend=url)) as app:
        yield Setup(app, worker, Keys(url), history)


def test_the_keys_of_a_killed_process_are_free_at_once(setup: Setup) -> None:
    """Those of the first processes, of those in their places, of a pool that was started anew."""
    setup.all_killed("first")
    assert setup.taken("first") == []

    quick = [setup.send("quick", str(job)) for job in range(20)]
    setup.all_killed("replaced")
    assert setup.taken("replaced") == []

    assert len({result.get(timeout=QUICK) for result in quick}) > 3
    setup.app.control.broadcast(
        "pool_restart", destination=[setup.worker.hostname], reply=True, timeout=QUICK
    )
    setup.all_killed("restarted")
    assert setup.taken("restarted") == []

    assert "could not be freed" not in setup.worker.logs()


def test_a_copy_of_a_message_that_was_acknowledged_as_its_process_was_killed_is_dropped(
    setup: Setup,
) -> None:
    """The broker gives out a message twice, and the two reach this worker one after the other."""
    result = setup.send("counted", "once", queue="aside")
    with setup.app.connection_for_write() as connection:
        client = connection.channel().client
        message = client.rpop("aside")
        client.lpush("celery", message)
        with pytest.raises(WorkerLostError):
            result.get(timeout=QUICK)
        client.lpush("celery", message)

    wait_for(lambda: "a copy of a message that was completed" in setup.worker.logs(), QUICK)
    assert len(setup.history.lines("start", "once")) == 1
