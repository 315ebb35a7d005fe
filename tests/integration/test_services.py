"""The services of the tests work: a plain task runs for real, on each broker and in each pool."""

from __future__ import annotations

import os
import re
import signal
from types import ModuleType

import celery
import pytest
from pytest_celery import CeleryTestSetup

from tests.integration import plain_tasks
from tests.integration.plain_tasks import add_up, sleep_for, whereabouts
from tests.services import RabbitServer, wait_for
from tests.services.fixtures import WorkerFactory

only_redis = pytest.mark.parametrize("celery_broker", ["celery_redis_broker"], indirect=True)
only_rabbit = pytest.mark.parametrize("celery_broker", ["celery_rabbitmq_broker"], indirect=True)


@pytest.fixture
def default_worker_tasks(default_worker_tasks: set[ModuleType]) -> set[ModuleType]:
    return default_worker_tasks | {plain_tasks}


def test_a_plain_task_gives_its_result_on_each_broker(celery_setup: CeleryTestSetup) -> None:
    result = add_up.s(1, 2, 3).apply_async()

    assert result.get(timeout=10) == 6
    assert celery_setup.ready(ping=True, control=True)


@only_redis
def test_a_killed_worker_is_dead_and_serves_again_after_a_restart(
    celery_setup: CeleryTestSetup,
) -> None:
    first = whereabouts.s().apply_async().get(timeout=10)

    celery_setup.worker.kill()
    assert celery_setup.worker.container.status == "exited"
    celery_setup.worker.restart()

    assert whereabouts.s().apply_async().get(timeout=10) != first


@only_redis
def test_a_warm_shutdown_lets_the_task_end(celery_setup: CeleryTestSetup) -> None:
    result = sleep_for.s(1.0).apply_async()
    celery_setup.worker.assert_log_exists("sleeping for")

    celery_setup.worker.kill("SIGTERM")

    assert result.get(timeout=10) == 1.0
    celery_setup.worker.assert_log_exists("Warm shutdown")
    # Its end is not waited for: billiard sometimes takes 30 s over a child's last message.


@only_rabbit
def test_a_killed_rabbitmq_serves_again_after_a_restart(celery_setup: CeleryTestSetup) -> None:
    broker = celery_setup.broker
    result = add_up.s(1, 2).apply_async()
    assert result.get(timeout=10) == 3

    broker.kill()
    assert broker.container.status == "exited"
    broker.restart()
    celery_setup.worker.restart()

    assert add_up.s(2, 3).apply_async().get(timeout=20) == 5


@only_redis
def test_a_worker_shows_its_own_processes_only(celery_setup: CeleryTestSetup) -> None:
    shown = celery_setup.worker.get_running_processes_info(["pid"])

    pids = {process["pid"] for process in shown}
    assert os.getpid() not in pids
    assert whereabouts.s().apply_async().get(timeout=10) in pids


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", "gevent"])
def test_a_worker_process_runs_in_each_pool(
    pool: str, redis_url: str, worker_factory: WorkerFactory
) -> None:
    app = _app(redis_url)

    worker = worker_factory(PLAIN_APP, broker=redis_url, backend=redis_url, pool=pool)

    with app:
        assert app.send_task("add_up", (2, 2)).get(timeout=10) == 4
        home = app.send_task("whereabouts").get(timeout=10)
    assert (home in worker.children()) == (pool == "prefork")
    assert (home == worker.pid) == (pool != "prefork")


def test_a_killed_child_is_replaced(redis_url: str, worker_factory: WorkerFactory) -> None:
    worker = worker_factory(PLAIN_APP, broker=redis_url, backend=redis_url, concurrency=1)
    (child,) = worker.wait_for_children(1)

    os.kill(child, signal.SIGKILL)

    wait_for(lambda: worker.children() not in ([], [child]), "a new child", explain=worker.logs)


def test_a_test_has_a_virtual_host_of_its_own(
    rabbit_server: RabbitServer, rabbit_url: str, worker_factory: WorkerFactory, redis_url: str
) -> None:
    other = rabbit_server.new_vhost()
    with _app(rabbit_server.url_for(other), redis_url) as elsewhere:
        elsewhere.send_task("add_up", (1,))

    worker = worker_factory(PLAIN_APP, broker=rabbit_url, backend=redis_url, pool="solo")

    with _app(rabbit_url, redis_url) as app:
        assert app.send_task("add_up", (5,)).get(timeout=10) == 5
    assert len(re.findall(r"add_up\[.*received", worker.logs())) == 1
    rabbit_server.delete_vhost(other)


PLAIN_APP = "tests.integration.plain_app"


def _app(broker: str, backend: str | None = None) -> celery.Celery:
    return celery.Celery("services", broker=broker, backend=backend or broker, set_as_current=False)
