"""Several scripts in one round trip: each has its own answer, or its own error."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Lease
from celery_lock.stores.redis import RedisStore
from celery_lock.stores.redis.link.address import Address
from celery_lock.stores.redis.link.discovery import FixedAddress
from celery_lock.stores.redis.link.script import Script
from celery_lock.stores.redis.link.server import Call, Server
from tests.contract.conftest import claim_of
from tests.contract.fake_server import FakeServer, always
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.contract

SAY = Script("say", "return ARGV[1]")
REFUSE = Script("refuse", "return redis.error_reply('ERR ' .. ARGV[1])")
SET = Script("set", "redis.call('SET', KEYS[1], ARGV[1]) return 1")


def server_at(url: str, deadline: float = 5.0) -> Server:
    directory = FixedAddress(Address.parse(url))
    return Server(directory, deadline=deadline, connections=2, watchers=1)


@pytest.fixture
def server(redis_url: str) -> Iterator[Server]:
    server = server_at(redis_url)
    yield server
    server.close()


def saying(*words: str) -> list[Call]:
    return [(SAY, [f"key {word}"], [word]) for word in words]


def test_each_script_has_its_own_answer(server: Server) -> None:
    assert server.run_each(saying("a", "b", "c")) == [b"a", b"b", b"c"]


def test_no_script_is_no_round_trip() -> None:
    with FakeServer(always(b"+OK\r\n")) as fake:
        assert server_at(fake.url).run_each([]) == []
        assert fake.connections == 0


def test_several_scripts_are_one_round_trip() -> None:
    def talk(connection: socket.socket) -> None:
        received = b""
        while received.count(b"EVALSHA") < 3:  # nothing is said before all have come
            received += connection.recv(65536)
        connection.sendall(b"+a\r\n+b\r\n+c\r\n")
        connection.recv(65536)

    with FakeServer(talk) as fake:
        server = server_at(fake.url)
        assert server.run_each(saying("a", "b", "c")) == [b"a", b"b", b"c"]
        server.close()


def test_an_error_of_one_script_is_no_error_of_the_others(server: Server) -> None:
    first, *_ = saying("a")

    one, two, three = server.run_each([first, (REFUSE, ["k"], ["no"]), (SET, ["k"], ["c"])])

    assert (one, three) == (b"a", 1)
    assert type(two) is StoreError
    assert "refused: ERR no" in str(two)
    assert two.__cause__ is not None


def test_scripts_that_the_server_lacks_are_sent_in_full_within_the_call(
    server: Server, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        client.script_flush()
    server.run(SAY, ["k"], ["known"])

    assert server.run_each([(SET, ["k"], ["a"]), *saying("b"), (SET, ["l"], ["c"])]) == [1, b"b", 1]

    with redis_server.client() as client:
        assert [client.get("k"), client.get("l")] == [b"a", b"c"]


def test_the_scripts_behind_a_hang_are_unknown() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"+a\r\n")
        while connection.recv(65536):
            pass

    with FakeServer(talk) as fake:
        server = server_at(fake.url, deadline=0.3)
        one, two, three = server.run_each(saying("a", "b", "c"))
        server.close()

    assert one == b"a"
    for unknown in (two, three):
        assert type(unknown) is StoreUnavailable
        assert "gave no answer within 0.3 s" in str(unknown)
    assert two is not three


def test_the_scripts_behind_a_connection_that_dies_twice_are_unknown() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        if fake.connections == 1:
            connection.sendall(b"+a\r\n")

    with FakeServer(talk) as fake:
        one, two, three = server_at(fake.url).run_each(saying("a", "b", "c"))

        assert fake.connections == 2

    assert one == b"a"
    assert [type(two), type(three)] == [StoreUnavailable] * 2
    assert "the connection broke" in str(two)


def test_several_scripts_may_be_given_less_time() -> None:
    def talk(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with FakeServer(talk) as fake:
        server = server_at(fake.url)
        [unknown] = server.run_each(saying("a"), within=0.2)
        server.close()

    assert "gave no answer within 0.2 s" in str(unknown)


# -- renewals --------------------------------------------------------------------------------


class Pairs(RedisStore):
    """A store that renews two leases at a time."""

    BATCH = 2


def renewals(count: int) -> list[tuple[Lease, float]]:
    return [
        (Lease(f"key {n}", f"task-{n}#node@host#1#{n:08x}", n), 30.0) for n in range(1, count + 1)
    ]


def test_each_lease_of_several_batches_has_its_own_outcome(redis_url: str) -> None:
    store = Pairs(redis_url)
    leases = [store.acquire(claim_of()) for _ in range(5)]
    asked = [(lease, 30.0) for lease in leases if isinstance(lease, Lease)]
    store.release(asked[2][0])

    outcomes = store.renew(asked)

    store.close()
    assert [outcome.value for outcome in outcomes] == ["renewed"] * 2 + ["lost"] + ["renewed"] * 2


def test_a_batch_without_an_answer_leaves_only_its_own_leases_unknown() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"*2\r\n:1\r\n:0\r\n-ERR no\r\n*1\r\n:1\r\n")
        connection.recv(65536)

    with FakeServer(talk) as fake:
        store = Pairs(fake.url)
        outcomes = store.renew(renewals(5))
        store.close()

    assert [outcome.value for outcome in outcomes] == [
        "renewed", "lost", "unknown", "unknown", "renewed",
    ]  # fmt: skip


def test_batches_that_all_have_no_answer_are_an_error() -> None:
    with FakeServer(always(b"-ERR no\r\n-ERR no\r\n")) as fake:
        store = Pairs(fake.url)

        with pytest.raises(StoreError, match="refused: ERR no"):
            store.renew(renewals(4))

        store.close()
