"""A release that nobody waits for: who comes next finds it done, and nothing of it is lost."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import redis

from celery_lock import StoreError
from celery_lock.model import Claim, End, Held, Lease, Met
from celery_lock.stores.redis import RedisStore
from tests.unit.forking import holds_in_a_child

from .conftest import OpenStore, claim_of
from .fake_server import FakeServer

pytestmark = pytest.mark.contract


class Publisher:
    """Takes keys, and leaves them to messages without waiting for an answer."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.failures: list[StoreError] = []

    def take(self, key: str) -> Lease:
        claim = Claim(key, f"{key}#node@host#4711#x.1", ttl=30.0, unconfirmed=True)
        lease = self.store.acquire(claim)
        assert isinstance(lease, Lease)
        return lease

    def leave(self, lease: Lease) -> None:
        end = End(heir=queued(lease.key), heir_ttl=100.0)
        self.store.release_unheard(lease, end, self.failures.append)


def queued(key: str) -> str:
    return f"{key}/queued/0"


def holder_of(store: RedisStore, key: str) -> str:
    held = store.peek(key)
    assert held is not None
    return held.holder


@pytest.fixture
def publisher(open_redis: OpenStore, redis_url: str) -> Publisher:
    """One that has left a lease before, and waited for that."""
    publisher = Publisher(open_redis(redis_url))
    publisher.leave(publisher.take("first"))
    return publisher


@pytest.fixture
def other(open_redis: OpenStore, redis_url: str) -> RedisStore:
    return open_redis(redis_url)


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def test_the_first_one_is_waited_for(
    publisher: Publisher, server: redis.Redis, other: RedisStore
) -> None:
    publisher.store.close()
    lease = publisher.take("k")
    server.script_flush()

    publisher.leave(lease)

    assert holder_of(other, "k") == queued("k")


def test_the_next_claim_of_the_process_finds_it_done(publisher: Publisher) -> None:
    for number in range(100):
        key = f"k{number}"
        publisher.leave(publisher.take(key))

        held = publisher.store.acquire(claim_of(key))

        assert isinstance(held, Held)
        assert (held.met, held.holder) == (Met.OTHER, queued(key))
    assert publisher.failures == []


def test_the_next_claim_is_sent_before_its_answer_is_waited_for(open_redis: OpenStore) -> None:
    answers = {1: b":1\r\n", 2: b":1\r\n", 3: b":2\r\n", 5: b":1\r\n:3\r\n"}

    def talk(connection: socket.socket) -> None:
        heard = b""
        while data := connection.recv(65536):
            heard += data
            connection.sendall(answers.get(heard.count(b"EVALSHA"), b""))

    with FakeServer(talk) as server:
        publisher = Publisher(open_redis(server.url))
        publisher.leave(publisher.take("first"))

        publisher.leave(publisher.take("k"))

        assert publisher.take("another").token == 3
        assert publisher.failures == []


def test_a_script_that_the_server_forgot_is_run_before_the_next_claim(
    publisher: Publisher, server: redis.Redis
) -> None:
    lease = publisher.take("k")
    server.script_flush()
    publisher.leave(lease)

    held = publisher.store.acquire(claim_of("k"))

    assert isinstance(held, Held)
    assert held.holder == queued("k")
    assert publisher.failures == []


def test_what_died_with_its_connection_is_done_before_the_next_claim(
    publisher: Publisher, server: redis.Redis
) -> None:
    lease = publisher.take("k")
    server.script_flush()
    publisher.leave(lease)
    server.client_kill_filter(_type="normal", skipme=True)

    held = publisher.store.acquire(claim_of("k"))

    assert isinstance(held, Held)
    assert held.holder == queued("k")
    assert publisher.failures == []


def test_a_connection_that_is_dead_already_is_replaced(
    publisher: Publisher, other: RedisStore
) -> None:
    lease = publisher.take("k")
    (connection,) = (one for one in publisher.store._server._own.value[0]._idle if one.connected)
    assert connection._socket is not None
    connection._socket._sock.shutdown(socket.SHUT_RDWR)

    publisher.leave(lease)

    assert publisher.store.acquire(claim_of("another"))
    assert holder_of(other, "k") == queued("k")
    assert publisher.failures == []


def test_an_error_is_heard_with_the_next_call(publisher: Publisher, server: redis.Redis) -> None:
    lease = publisher.take("k")
    server.delete("celery-lock:2:{k}")
    server.set("celery-lock:2:{k}", "no hash")
    publisher.leave(lease)
    assert publisher.failures == []

    publisher.store.peek("another")
    publisher.store.peek("another")

    assert len(publisher.failures) == 1


@pytest.mark.parametrize("leave", [RedisStore.hear, RedisStore.close], ids=["hear", "close"])
def test_whoever_leaves_hears_it_before(
    publisher: Publisher,
    server: redis.Redis,
    other: RedisStore,
    leave: Callable[[RedisStore], None],
) -> None:
    lease = publisher.take("k")
    server.script_flush()
    publisher.leave(lease)

    leave(publisher.store)

    assert holder_of(other, "k") == queued("k")


def test_a_child_hears_nothing_of_its_parent(publisher: Publisher, server: redis.Redis) -> None:
    lease = publisher.take("k")
    server.script_flush()
    publisher.leave(lease)

    def hears_nothing() -> bool:
        publisher.store.hear()
        held = publisher.store.peek("k")
        return held is not None and held.holder != queued("k") and not publisher.failures

    assert holds_in_a_child(hears_nothing)
    assert holder_of(publisher.store, "k") == queued("k")


PROGRAM = """
import os, sys
from celery import Celery
from celery_lock import Lock, LockedTask

app = Celery("leaves", broker="memory://")
app.conf.lock_store = sys.argv[1]

@app.task(base=LockedTask, lock=Lock("k:{number}", scope="until_finished"))
def task(number): ...

for number in range(3):
    task.apply_async((number,), task_id=f"k:{number}")
os._exit(0)
"""


def test_a_process_that_is_gone_at_once_has_left_all(redis_url: str, other: RedisStore) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM, redis_url], check=True, timeout=60)

    for number in range(3):
        assert holder_of(other, f"k:{number}") == queued(f"k:{number}")
