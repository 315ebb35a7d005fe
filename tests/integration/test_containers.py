"""A locked task in workers that pytest-celery's own fixtures run, on each of its brokers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType

import pytest
from celery import Celery
from pytest_celery import (
    DEFAULT_WORKER_CONTAINER_TIMEOUT,
    DEFAULT_WORKER_VOLUME,
    CeleryTestSetup,
    CeleryTestWorker,
    CeleryWorkerCluster,
    CeleryWorkerContainer,
)
from pytest_docker_tools import container, fxtr

from tests.apart import share_again
from tests.integration import locked_tasks
from tests.integration.keys import Keys, keys_at
from tests.integration.locked_tasks import TTL, ship

ENOUGH = 30.0
"""Seconds for a result on a busy machine."""


@pytest.fixture(autouse=True)
def _shared() -> None:
    share_again(locked_tasks.__name__)


@pytest.fixture
def default_worker_tasks(default_worker_tasks: set[ModuleType]) -> set[ModuleType]:
    return default_worker_tasks | {locked_tasks}


@pytest.fixture
def keys(celery_setup: CeleryTestSetup) -> Iterator[Keys]:
    """The keys in the store of these workers: the result backend, where the broker is none."""
    places = [node.config()["host_url"] for node in (celery_setup.broker, celery_setup.backend)]
    with keys_at(next(url for url in places if url.startswith("redis"))) as keys:
        yield keys


def test_a_locked_task_gives_its_result_and_its_key_back(
    celery_setup: CeleryTestSetup, keys: Keys
) -> None:
    _, _, token = ship.s("7").apply_async().get(timeout=ENOUGH)

    assert token > 0
    assert keys.holder("order:7") is None


def test_a_killed_workers_key_is_free_when_its_ttl_is_over(
    celery_setup: CeleryTestSetup, keys: Keys
) -> None:
    ship.s("7", 600.0).apply_async()
    celery_setup.worker.wait_for_log("shipping 7")

    celery_setup.worker.kill()
    held = keys.holder("order:7")
    celery_setup.worker.restart()
    began, _, _ = ship.s("7").apply_async().get(timeout=ENOUGH)

    assert held is not None
    assert 0 < held.expires_in <= TTL
    assert began >= held.now + held.expires_in


# -- two workers --------------------------------------------------------------------------------

second_container = container(
    image="{celery_base_worker_image.id}",
    environment=fxtr("default_worker_env"),
    network="{default_pytest_celery_network.name}",
    volumes={"{default_worker_volume.name}": DEFAULT_WORKER_VOLUME},
    wrapper_class=CeleryWorkerContainer,
    timeout=DEFAULT_WORKER_CONTAINER_TIMEOUT,
    command=fxtr("default_worker_command"),
)


class TestTwoWorkers:
    @pytest.fixture
    def celery_worker_cluster(
        self,
        celery_worker: CeleryTestWorker,
        second_container: CeleryWorkerContainer,
        default_worker_app: Celery,
    ) -> Iterator[CeleryWorkerCluster]:
        second = CeleryTestWorker(second_container, app=default_worker_app)
        cluster = CeleryWorkerCluster(celery_worker, second)
        yield cluster
        cluster.teardown()
        second.teardown()

    def test_calls_with_one_key_never_overlap(self, celery_setup: CeleryTestSetup) -> None:
        calls = [ship.s("7", 0.5).apply_async() for _ in range(6)]
        runs = sorted(call.get(timeout=ENOUGH) for call in calls)

        assert len(celery_setup.worker_cluster) == 2
        for worker in celery_setup.worker_cluster:
            worker.assert_log_exists("locked_tasks.ship[")
        for (_, ended, token), (began, _, next_token) in pairwise(runs):
            assert ended <= began
            assert token < next_token
