"""`replicas=N`: what is written counts when so many replicas have it too."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from celery_lock.errors import LockConfigurationError, StoreError, StoreUnavailable
from celery_lock.model import Completion, End, Held, Lease, Outcome, Refused
from celery_lock.stores import open_store
from celery_lock.stores.redis import RedisStore
from celery_lock.stores.redis.cluster import ClusterStore
from tests.contract.conftest import OpenStore, claim_of
from tests.contract.fake_server import FakeServer
from tests.services.fixtures import RedisFactory
from tests.services.redis_server import RedisServer
from tests.services.waiting import wait_for

pytestmark = pytest.mark.contract


@pytest.fixture
def pair(redis_factory: RedisFactory) -> tuple[RedisServer, RedisServer]:
    """A primary, and its replica that has all of it."""
    primary = redis_factory(args=["--repl-diskless-sync-delay", "0"])
    replica = redis_factory(args=["--replicaof", primary.host, str(primary.port)])
    wait_for_link(primary)
    return primary, replica


def wait_for_link(primary: RedisServer) -> None:
    with primary.client() as client:
        client.set("w", 1)  # before a first write each replica seems to have all
        wait_for(lambda: client.execute_command("WAIT", 1, 100), "a replica")


def test_a_lease_is_given_when_a_replica_has_it(
    pair: tuple[RedisServer, RedisServer], open_redis: OpenStore
) -> None:
    primary, replica = pair
    store = open_redis(primary.url, options={"replicas": 1})

    lease = store.acquire(claim_of("k"))

    assert isinstance(lease, Lease)
    with replica.client() as client:
        assert client.exists("celery-lock:2:{k}")
    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    assert store.release(lease)
    assert store.check() == []
    assert "+wait" in store.permissions


def test_a_lease_that_too_few_replicas_have_is_taken_back_and_refused(
    pair: tuple[RedisServer, RedisServer], open_redis: OpenStore
) -> None:
    primary, replica = pair
    store = open_redis(primary.url, options={"replicas": 1}, deadline=1.0)
    careless = open_redis(primary.url)
    replica.kill()

    with pytest.raises(StoreUnavailable, match="replicas=1 asks for 1"):
        store.acquire(claim_of("k"))
    with pytest.raises(StoreUnavailable, match="none of its replicas"):
        store.acquire_all([claim_of("k", holder="a#b#1#c"), claim_of("l", holder="a#b#1#c")])

    assert careless.peek("k") is None
    assert careless.peek("l") is None


def test_a_claim_that_is_refused_needs_no_replica(
    pair: tuple[RedisServer, RedisServer], open_redis: OpenStore
) -> None:
    primary, replica = pair
    store = open_redis(primary.url, options={"replicas": 1}, deadline=1.0)
    lease = store.acquire(claim_of("k"))
    assert isinstance(lease, Lease)
    replica.kill()

    met = store.acquire(claim_of("k", watching=True))
    both = store.acquire_all([claim_of("j", holder="a#b#1#c"), claim_of("k", holder="a#b#1#c")])

    assert isinstance(met, Held)
    assert met.token == lease.token
    assert isinstance(both, Refused)
    assert both.held.key == "k"


def test_a_renewal_that_too_few_replicas_have_is_neither_done_nor_lost(
    pair: tuple[RedisServer, RedisServer], open_redis: OpenStore
) -> None:
    primary, replica = pair
    store = open_redis(primary.url, options={"replicas": 1}, deadline=0.4)
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)
    replica.pause()

    with pytest.raises(StoreUnavailable):
        store.renew([(lease, 30.0)])

    replica.resume()
    wait_for_link(primary)
    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]


def test_a_release_that_too_few_replicas_have_is_an_error_each(
    pair: tuple[RedisServer, RedisServer], open_redis: OpenStore
) -> None:
    primary, replica = pair
    store = open_redis(primary.url, options={"replicas": 1}, deadline=1.0)
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)
    replica.kill()

    (answer,) = store.release_all([(lease, None)])

    assert isinstance(answer, StoreError)
    assert store.peek(lease.key) is None, "it was executed all the same"


def test_what_only_reads_waits_for_nobody(
    pair: tuple[RedisServer, RedisServer], open_redis: OpenStore
) -> None:
    primary, replica = pair
    store = open_redis(primary.url, options={"replicas": 9}, deadline=60.0)
    replica.kill()

    assert store.peek("k") is None
    assert store.records("space", ["a"])[0] == [None]
    store.undo(claim_of("k"))
    assert store.free("k", "a#b#1#c") is None


def test_a_node_of_a_cluster_that_has_no_replica_gives_no_lease(cluster_url: str) -> None:
    with closing(ClusterStore(cluster_url, options={"replicas": 1}, deadline=1.0)) as store:
        with pytest.raises(StoreUnavailable, match="replicas=1 asks for 1"):
            store.acquire(claim_of("k"))

        assert store.peek("k") is None


# -- on the wire -----------------------------------------------------------------------------


class Recorder:
    """A server that answers each piece of bytes with the next of these answers."""

    def __init__(self, *answers: bytes | None) -> None:
        self.pieces: list[bytes] = []
        self._answers = list(answers)

    def talk(self, connection: socket.socket) -> None:
        while piece := connection.recv(65536):
            self.pieces.append(piece)
            answer = self._answers.pop(0)
            if answer is None:
                return
            connection.sendall(answer)


def recorded(ask: Callable[[RedisStore], Any], *answers: bytes | None) -> list[bytes]:
    recorder = Recorder(*answers)
    with FakeServer(recorder.talk) as server:
        store = RedisStore(server.url, options={"replicas": 2})
        ask(store)
        store.close()
    return recorder.pieces


def test_a_script_and_its_replicas_are_one_round_trip() -> None:
    def ask(store: RedisStore) -> None:
        lease = store.acquire(claim_of())
        assert isinstance(lease, Lease)
        store.renew([(lease, 5.0)] * 250)
        store.complete([Completion("k", "p", 60.0)])

    pieces = recorded(
        ask, b":7\r\n:2\r\n", 3 * (b"*100\r\n" + 100 * b":1\r\n") + b":3\r\n", b":1\r\n:2\r\n"
    )

    assert len(pieces) == 3
    assert [piece.count(b"EVALSHA") for piece in pieces] == [1, 3, 1]
    assert [piece.count(b"$4\r\nWAIT\r\n$1\r\n2\r\n") for piece in pieces] == [1, 1, 1]


@pytest.mark.parametrize("lost", [None, b":7\r\n"])
def test_a_connection_that_broke_asks_for_all_of_it_once_more(lost: bytes | None) -> None:
    """A new connection has written nothing, so replicas would seem to have it."""
    recorder: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        recorder.append(connection.recv(65536))
        if len(recorder) > 1:
            connection.sendall(b":7\r\n:2\r\n")
            connection.recv(1)
        elif lost:
            connection.sendall(lost)

    with FakeServer(talk) as server:
        store = RedisStore(server.url, options={"replicas": 2})

        assert isinstance(store.acquire(claim_of()), Lease)

        store.close()
    assert [b"EVALSHA" in piece and b"WAIT" in piece for piece in recorder] == [True, True]


def test_a_script_that_the_server_lacks_is_run_with_its_replicas() -> None:
    def ask(store: RedisStore) -> None:
        assert isinstance(store.acquire(claim_of()), Lease)
        lease = Lease("k", "a#b#1#c", 7)
        assert store.renew([(lease, 5.0)]) == [Outcome.RENEWED]

    no_script = b"-NOSCRIPT No matching script\r\n:2\r\n"

    pieces = recorded(ask, no_script, b":7\r\n:2\r\n", no_script, b"*1\r\n:1\r\n:2\r\n")

    assert [piece.count(b"WAIT") for piece in pieces] == [1, 1, 1, 1]
    assert [b"EVALSHA" in piece for piece in pieces] == [True, False, True, False]


def test_a_release_that_nobody_waits_for_is_waited_for() -> None:
    failures: list[StoreError] = []

    def ask(store: RedisStore) -> None:
        store.release_unheard(Lease("k", "a#b#1#c", 7), End(), failures.append)
        store.hear()

    pieces = recorded(ask, b":1\r\n:2\r\n")

    assert b"WAIT" in pieces[0]
    assert failures == []


# -- options ---------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["redis://h", "unix:///s", "sentinel://h/m", "redis+cluster://h"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"replicas": -1}, "replicas=-1 is no number of replicas"),
        ({"replicas": True}, "replicas=True is no number"),
        ({"replicas": "1"}, "replicas='1' is no number"),
        ({"replica": 1}, "did you mean 'replicas'?"),
        ({"restart_guard": 60}, "restart_guard=60 is neither True nor False"),
        ({"longest_ttl": 60}, "set restart_guard to True as well"),
        ({"restart_guard": True, "longest_ttl": 0}, "longest_ttl=0 must be more than zero"),
        ({"restart_guard": True, "longest_ttl": "1m"}, "longest_ttl='1m' is no duration"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    url: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(LockConfigurationError) as raised:
        open_store(url, options=options)

    assert sentence in str(raised.value)
