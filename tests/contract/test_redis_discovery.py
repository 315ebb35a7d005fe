"""The link asks where the server is, at each new connection, and says when it has a doubt."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from time import monotonic

import pytest

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.stores.redis import RedisStore
from celery_lock.stores.redis.link import discovery
from celery_lock.stores.redis.link.address import Address
from celery_lock.stores.redis.link.discovery import FixedAddress
from celery_lock.stores.redis.link.resp import ErrorReply
from celery_lock.stores.redis.link.script import Script
from celery_lock.stores.redis.link.server import Server
from tests.contract.conftest import claim_of
from tests.contract.fake_server import FakeServer, always
from tests.services.fixtures import RedisFactory
from tests.services.proxy import Proxy
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.contract

READONLY = b"-READONLY You can't write against a read only replica.\r\n"


class TwoServers:
    """A directory that believes in the first server until somebody doubts it."""

    shown = "redis://two.test"
    changes = False

    def __init__(self, first: str, second: str) -> None:
        self.doubts = 0
        self.asked: list[str] = []
        self.doubted: list[str] = []
        self._addresses = [Address.parse(first), Address.parse(second)]

    def find(self, ends: float) -> Address:
        address = self._addresses[self.doubts]
        self.asked.append(address.shown)
        return address

    def look(self, ends: float) -> None:
        raise AssertionError("it does not change by itself")

    def suspect(self) -> None: ...

    def doubt(self, address: Address) -> None:
        self.doubted.append(address.shown)
        if address is self._addresses[0]:
            self.doubts = 1

    def demote(self, address: Address) -> None:
        self.doubt(address)


def server_of(directory: TwoServers | FixedAddress, deadline: float = 5.0) -> Server:
    return Server(directory, deadline=deadline, connections=3, watchers=1)


@pytest.fixture
def second(redis_url: str) -> str:
    """A server that is there, and takes writes."""
    return redis_url


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def test_a_server_is_asked_for_once_for_each_connection(second: str) -> None:
    directory = TwoServers(second, second)
    server = server_of(directory)

    for _ in range(3):
        server.say("PING")

    assert directory.asked == [second]
    assert directory.doubted == []
    server.close()


def test_a_refused_connection_leads_to_a_new_question(second: str) -> None:
    first = closed_port()
    directory = TwoServers(first, second)
    server = server_of(directory)

    with pytest.raises(StoreUnavailable) as raised:
        server.say("PING")

    assert server.say("PING") == b"PONG"
    assert directory.doubted == [first]
    assert directory.asked == [first, second]
    assert raised.value.url == first, "an error names the server, not what was asked for"
    assert server.url == "redis://two.test"
    server.close()


def test_a_server_that_takes_no_writes_leads_to_a_new_question(second: str) -> None:
    with FakeServer(always(READONLY)) as replica:
        directory = TwoServers(replica.url, second)
        server = server_of(directory)

        with pytest.raises(StoreUnavailable, match="read-only replica"):
            server.say("SET", "k", "v")

        assert server.say("SET", "k", "v") == b"OK"
        assert directory.doubted == [replica.url]
        server.close()


def test_a_doubt_replaces_the_connections_that_are_older(second: str) -> None:
    with FakeServer(always(READONLY)) as replica:
        directory = TwoServers(replica.url, second)
        server = server_of(directory)
        pool, _ = server._own.value
        lent = [pool.take(0) for _ in range(3)]
        for connection in lent:
            connection.begin(b"PING\r\n", monotonic() + 5)
        for connection in lent:
            with pytest.raises(Exception, match="READONLY"):
                connection.finish()
            pool.give(connection)

        assert [server.say("PING") for _ in range(4)] == [b"PONG"] * 4

        assert replica.connections == 3
        server.close()


def test_a_hang_leads_to_a_new_question(second: str) -> None:
    def hang(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with FakeServer(hang) as frozen:
        directory = TwoServers(frozen.url, second)
        server = server_of(directory, deadline=2.0)

        with pytest.raises(StoreUnavailable, match="gave no answer"):
            server.say("PING")

        assert server.say("PING") == b"PONG"
        assert directory.doubted == [frozen.url]
        server.close()


def test_a_broken_connection_leads_to_a_new_question_within_the_call(second: str) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(65536)

    with FakeServer(hang_up) as dying:
        directory = TwoServers(dying.url, second)
        server = server_of(directory)

        assert server.say("PING") == b"PONG"

        assert directory.asked == [dying.url, second]
        server.close()


def test_an_error_of_the_server_that_is_no_doubt_is_none(second: str) -> None:
    with FakeServer(always(b"HTTP/1.1 400 Bad Request\r\n")) as fake:
        directory = TwoServers(second, fake.url)
        server = server_of(directory)
        with pytest.raises(StoreError, match="refused"):
            server.say("NONSENSE")
        directory.doubts = 1

        with pytest.raises(StoreError, match="no Redis"):
            server.say("PING")

        assert directory.doubted == []
        server.close()


def test_one_server_stays_where_it_is_whatever_is_said_of_it(fresh_redis: RedisServer) -> None:
    server = server_of(FixedAddress(Address.parse(fresh_redis.url)), deadline=2.0)
    pool, _ = server._own.value
    lent = [pool.take(0) for _ in range(2)]
    for connection in lent:
        connection.exchange(b"PING\r\n", monotonic() + 5)
        pool.give(connection)
    fresh_redis.pause()
    with pytest.raises(StoreUnavailable):
        server.say("PING")

    fresh_redis.resume()

    assert lent[0].connected, "an idle connection that works is not given up"
    assert server.say("PING") == b"PONG"
    server.close()


@pytest.mark.parametrize("said", [READONLY, b"-NOREPLICAS Not enough good replicas to write.\r\n"])
def test_a_fail_over_behind_one_address_leaves_no_connection_with_the_old_server(
    fresh_redis: RedisServer, said: bytes
) -> None:
    """A name or a proxy leads to the new primary; the old one keeps the connections it has."""
    with FakeServer(always(said)) as old, Proxy(old.port) as proxy:
        server = server_of(FixedAddress(Address.parse(fresh_redis.url_for(port=proxy.port))))
        pool, _ = server._own.value
        lent = [pool.take(0) for _ in range(3)]
        for connection in lent:
            connection.begin(b"PING\r\n", monotonic() + 5)
        for connection in lent:
            with pytest.raises(ErrorReply, match=r"READONLY|NOREPLICAS"):
                connection.finish()
            pool.give(connection)
        proxy.target = (fresh_redis.host, fresh_redis.port)

        assert [server.say("SET", "k", "v") for _ in range(4)] == [b"OK"] * 4

        server.close()


def test_where_a_replica_is_named_connections_are_not_made_anew_at_each_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery, "AGAIN", 1000.0)
    with FakeServer(always(READONLY)) as replica:
        server = server_of(FixedAddress(Address.parse(replica.url)))

        for _ in range(5):
            with pytest.raises(StoreUnavailable, match="read-only replica"):
                server.say("SET", "k", "v")

        assert replica.connections == 2
        server.close()


def test_a_server_that_is_cut_off_from_its_replicas_is_left_behind_one_address(
    fresh_redis: RedisServer, redis_factory: RedisFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives no lease with `replicas`; who has taken over behind the address may."""
    monkeypatch.setattr(discovery, "AGAIN", 0.0)
    with Proxy(fresh_redis.port) as proxy:
        url, options = fresh_redis.url_for(port=proxy.port), {"replicas": 1}
        store = RedisStore(url, options=options, deadline=1.0)
        with pytest.raises(StoreUnavailable, match="none of its replicas"):
            store.acquire(claim_of())
        connections, proxy.target = proxy.connections, (fresh_redis.host, redis_factory().port)

        with pytest.raises(StoreUnavailable, match="none of its replicas"):
            store.acquire(claim_of())

        assert proxy.connections > connections
        store.close()


class Nowhere(FixedAddress):
    """A directory that knows no server."""

    def __init__(self) -> None:
        super().__init__(Address(shown="redis://nowhere.test"))

    def find(self, ends: float) -> Address:
        raise StoreUnavailable(self.shown, "none of its sentinels answers")


@pytest.fixture
def lost() -> Iterator[Server]:
    server = server_of(Nowhere())
    yield server
    server.close()


def test_a_directory_that_knows_no_server_says_why_itself(lost: Server) -> None:
    with pytest.raises(StoreUnavailable, match="none of its sentinels answers") as raised:
        lost.say("PING")

    assert raised.value.url == "redis://nowhere.test"


def test_a_directory_that_knows_no_server_says_so_of_each_script(lost: Server) -> None:
    script = Script("say", "return 1")

    answers = lost.run_each([(script, ["a"], []), (script, ["b"], [])])

    assert [type(answer) for answer in answers] == [StoreUnavailable] * 2
    assert "none of its sentinels answers" in str(answers[1])
