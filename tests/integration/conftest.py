"""pytest-celery's fixtures on plain processes; with CELERY_LOCK_TEST_DOCKER=1 on Docker itself.

`celery_setup` gives a broker, a result backend and a worker, all real, all gone after the test:

    from tests.integration import my_tasks           # a module with shared tasks

    @pytest.fixture
    def default_worker_tasks(default_worker_tasks):  # what the worker imports
        return default_worker_tasks | {my_tasks}

    @pytest.fixture
    def default_worker_app(celery_setup_app):        # settings, for the test and the worker
        celery_setup_app.conf.task_acks_late = True
        return celery_setup_app

    def test_it(celery_setup):                       # once on Redis, once on RabbitMQ
        assert my_tasks.add.s(1, 2).apply_async().get(timeout=10) == 3

    @pytest.mark.parametrize("celery_broker", ["celery_redis_broker"], indirect=True)
    def test_on_redis_only(celery_setup): ...

`worker_options` (a fixture) is what is added to the worker's command; override it for a pool.
`celery_setup.worker.kill()`, `.restart()`, `.assert_log_exists(...)`, `celery_setup.broker.kill()`
and what else pytest-celery has do what they say.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
import pytest_celery.vendors.redis.backend.api as redis_backend
import pytest_docker_tools.wrappers.container
from celery.result import AsyncResult
from pytest_celery import (
    CELERY_RABBITMQ_BROKER,
    CELERY_REDIS_BACKEND,
    CELERY_REDIS_BROKER,
    CeleryTestBackend,
    CeleryTestBroker,
    CeleryWorkerContainer,
)

from tests.procdocker import ProcessDockerClient, inside, poll_fast
from tests.services import SharedRabbit
from tests.services.worker import CHECKOUT

REAL_DOCKER = os.environ.get("CELERY_LOCK_TEST_DOCKER") == "1"

if not REAL_DOCKER:

    @pytest.fixture(scope="session")
    def docker_client(
        tmp_path_factory: pytest.TempPathFactory, shared_rabbit: SharedRabbit
    ) -> Iterator[ProcessDockerClient]:
        with pytest.MonkeyPatch.context() as patch:
            poll_fast(patch)
            # Where the tests themselves run in a container, addresses are still the loopback's.
            patch.setattr(
                pytest_docker_tools.wrappers.container, "tests_inside_container", lambda: False
            )
            client = ProcessDockerClient(tmp_path_factory.mktemp("procdocker"), shared_rabbit)
            yield client
            client.close()

    @pytest.fixture
    def default_worker_utils_module() -> ModuleType:
        return inside


@pytest.fixture(autouse=True, scope="session")
def _asleep() -> Iterator[None]:
    """Lets pytest-celery look for results among all objects without waking lazy ones.

    It asks `isinstance` of each object there is; Django's settings answer that with an error where
    no project is configured.
    """

    def results() -> list[AsyncResult]:
        return [thing for thing in gc.get_objects() if issubclass(type(thing), AsyncResult)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_backend, "gc", SimpleNamespace(collect=gc.collect, get_objects=results))
        yield


# Lists, where pytest-celery has sets: their order is the same in each process.
@pytest.fixture(params=[CELERY_REDIS_BROKER, CELERY_RABBITMQ_BROKER])
def celery_broker(request: pytest.FixtureRequest) -> Iterator[CeleryTestBroker]:
    broker: CeleryTestBroker = request.getfixturevalue(request.param)
    yield broker
    broker.teardown()


@pytest.fixture(params=[CELERY_REDIS_BACKEND])
def celery_backend(request: pytest.FixtureRequest) -> Iterator[CeleryTestBackend]:
    backend: CeleryTestBackend = request.getfixturevalue(request.param)
    yield backend
    backend.teardown()


@pytest.fixture
def default_worker_initial_content(
    default_worker_initial_content: dict[str, bytes],
) -> dict[str, bytes]:
    """What a worker's container has in /app: this package as well."""
    package = {
        path.relative_to(CHECKOUT).as_posix(): path.read_bytes()
        for path in (CHECKOUT / "celery_lock").rglob("*")
        if path.suffix in (".py", ".lua")
    }
    return default_worker_initial_content | package


@pytest.fixture
def worker_options() -> list[str]:
    return ["--concurrency=2"]


@pytest.fixture
def default_worker_command(
    default_worker_container_cls: type[CeleryWorkerContainer], worker_options: list[str]
) -> list[str]:
    quick = ["--without-mingle", "--without-gossip"]  # two seconds, and one worker has no peers
    return default_worker_container_cls.command(*quick, *worker_options)
