"""What the tests of one module share: a Redis of its own, workers, and keys that are taken."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import celery
import pytest

from celery_lock.model import Claim, Held, Holder, Lease
from celery_lock.stores import open_store
from tests.services import RabbitServer, RedisServer, SharedRabbit, Worker
from tests.services.fixtures import WORKERS, WorkerFactory


@pytest.fixture(scope="module")
def module_redis(
    redis_binary: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """A Redis that nobody empties between the tests of a module."""
    with RedisServer(redis_binary, tmp_path_factory.mktemp("module-redis")) as server:
        yield server


@dataclass(frozen=True)
class VirtualHost:
    """A virtual host of the session's RabbitMQ."""

    server: RabbitServer
    name: str

    @property
    def url(self) -> str:
        """For Celery."""
        return self.server.url_for(self.name)


@pytest.fixture(scope="module")
def module_vhost(shared_rabbit: SharedRabbit) -> Iterator[VirtualHost]:
    """A virtual host that the tests of a module share."""
    server = shared_rabbit.running()
    vhost = VirtualHost(server, server.new_vhost())
    yield vhost
    if server.alive():
        server.delete_vhost(vhost.name)


@pytest.fixture(scope="module")
def module_worker_factory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerFactory]:
    """`worker_factory` for workers that live as long as the module's tests."""
    folder = tmp_path_factory.mktemp("module-workers")
    with ExitStack() as stack:

        def start(app: str, *, ready: bool = True, **options: Any) -> Worker:
            worker = Worker(app, folder, **options)
            stack.callback(worker.process.kill)
            _shared(request.node).append(worker)
            return worker.start(ready=ready)

        yield start


_SHARED = pytest.StashKey[list[Worker]]()


def _shared(module: pytest.Item) -> list[Worker]:
    return module.stash.setdefault(_SHARED, [])


@pytest.fixture(autouse=True)
def shared_logs(request: pytest.FixtureRequest) -> None:
    """The logs of the module's workers are in the report of a test that fails."""
    module = request.node.getparent(pytest.Module)
    request.node.stash.setdefault(WORKERS, []).extend(_shared(module))


@contextmanager
def sending(app: celery.Celery) -> Iterator[celery.Celery]:
    """Send with an app, and leave nothing that looks for its servers later."""
    with app:
        yield app
        # An AsyncResult that is collected after its server's end would try to unsubscribe.
        consumer = app.backend.result_consumer
        consumer.subscribed_to.clear()
        consumer.stop()
        consumer._pubsub = None  # Celery before 5.7 asks for this alone


# -- keys ---------------------------------------------------------------------------------------


@dataclass
class Keys:
    """Takes keys, as a task on another machine would."""

    url: str
    taken: dict[str, Lease] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = open_store(self.url)

    def take(self, key: str, *, ttl: float = 60.0, task_id: str = "somebody") -> str:
        """Take a key until it is given back, for `ttl` seconds at most; return its holder."""
        holder = str(Holder(task_id, "w1@elsewhere", 4711, uuid.uuid4().hex))
        lease = self.store.acquire(Claim(key=key, holder=holder, ttl=ttl))
        assert isinstance(lease, Lease), f"{key} is taken: {lease}"
        self.taken[key] = lease
        return holder

    def give_back(self, key: str) -> None:
        """Give a taken key back."""
        self.store.release(self.taken.pop(key))

    @contextmanager
    def held(self, key: str, **options: Any) -> Iterator[str]:
        """The key is taken while the block runs."""
        try:
            yield self.take(key, **options)
        finally:
            if key in self.taken:
                self.give_back(key)

    def holder(self, key: str) -> Held | None:
        """Who has it; `None`: it is free."""
        return self.store.peek(key)

    def close(self) -> None:
        """Give all back."""
        for key in list(self.taken):
            self.give_back(key)
        self.store.close()


def delete_keys(app: Any, pattern: str) -> None:
    """Delete keys of locks from the broker's database, as somebody may by hand."""
    with app.connection_for_write() as connection:
        client = connection.channel().client
        found = client.keys(f"celery-lock:*{pattern}*")
        assert found, f"there is no key like {pattern}"
        client.delete(*found)


@contextmanager
def keys_at(url: str) -> Iterator[Keys]:
    """Keys of a store, given back at the end."""
    keys = Keys(url)
    try:
        yield keys
    finally:
        keys.close()
