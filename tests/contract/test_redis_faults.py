"""What a Redis store does when the wire or the server fails under it."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator

import pytest

from celery_lock.errors import StoreUnavailable
from celery_lock.model import Held, Lease, Outcome
from tests.contract.conftest import OpenStore, claim_of
from tests.contract.fake_server import FakeServer
from tests.services.proxy import Proxy
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.contract

DEADLINE = 0.5
SLACK = 1.5
"""Seconds that a busy machine may take to wake us up."""


@pytest.fixture
def proxy(redis_server: RedisServer, redis_url: str) -> Iterator[Proxy]:
    with Proxy(redis_server.port) as proxy:
        yield proxy


def url_of(proxy: Proxy) -> str:
    return f"redis://{proxy.host}:{proxy.port}/0"


def nonce_of(holder: str) -> bytes:
    """What stands in each request of this holder and of no other: a holder travels in parts."""
    return f"\r\n{holder.rpartition('#')[2]}\r\n".encode()


class Stopwatch:
    def __enter__(self) -> Stopwatch:
        self._start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._start


# -- lost replies ----------------------------------------------------------------------------


def test_an_acquire_whose_reply_is_lost_is_asked_again_and_gets_its_token(
    proxy: Proxy, redis_url: str, open_redis: OpenStore
) -> None:
    store, witness = open_redis(url_of(proxy)), open_redis(redis_url)
    store.peek("warm up")
    claim = claim_of()
    proxy.lose_reply(nonce_of(claim.holder))

    lease = store.acquire(claim)

    proxy.wait_lost()
    assert isinstance(lease, Lease)
    assert isinstance(held := witness.peek(claim.key), Held)
    assert held.holder == claim.holder
    assert witness.release(lease)


def test_a_release_whose_reply_is_lost_says_yes(proxy: Proxy, open_redis: OpenStore) -> None:
    store = open_redis(url_of(proxy))
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)
    proxy.lose_reply(nonce_of(lease.holder))

    assert store.release(lease)

    proxy.wait_lost()


def test_an_acquire_that_was_given_up_can_be_repeated(proxy: Proxy, open_redis: OpenStore) -> None:
    store = open_redis(url_of(proxy), deadline=DEADLINE)
    store.peek("warm up")
    claim = claim_of()
    proxy.drop_replies()
    with pytest.raises(StoreUnavailable):
        store.acquire(claim)
    proxy.forward()

    first = store.acquire(claim)
    second = store.acquire(claim)

    assert isinstance(first, Lease)
    assert isinstance(second, Lease)
    assert first.token == second.token


def test_a_release_that_was_given_up_can_be_repeated(proxy: Proxy, open_redis: OpenStore) -> None:
    store = open_redis(url_of(proxy), deadline=DEADLINE)
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)
    proxy.drop_replies()
    with pytest.raises(StoreUnavailable):
        store.release(lease)
    proxy.forward()

    assert store.release(lease)


# -- deadlines -------------------------------------------------------------------------------


def test_a_hung_server_is_given_up_at_the_deadline(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url, deadline=DEADLINE)
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)
    fresh_redis.pause()

    with Stopwatch() as watch, pytest.raises(StoreUnavailable) as raised:
        store.release(lease)

    fresh_redis.resume()
    assert DEADLINE * 0.9 < watch.seconds < DEADLINE + SLACK
    assert "gave no answer within 0.5 s" in str(raised.value)
    assert store.release(lease)


def test_connecting_to_a_hung_server_is_given_up_at_the_deadline(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url_for(db=3), deadline=DEADLINE)
    fresh_redis.pause()  # the kernel accepts, nobody answers

    with Stopwatch() as watch, pytest.raises(StoreUnavailable):
        store.acquire(claim_of())

    fresh_redis.resume()
    assert DEADLINE * 0.9 < watch.seconds < DEADLINE + SLACK


def test_a_renewal_may_be_given_less_time(fresh_redis: RedisServer, open_redis: OpenStore) -> None:
    store = open_redis(fresh_redis.url, deadline=5.0)
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)
    fresh_redis.pause()

    with Stopwatch() as watch, pytest.raises(StoreUnavailable):
        store.renew([(lease, 30)], within=0.3)

    fresh_redis.resume()
    assert 0.27 < watch.seconds < 0.3 + SLACK
    assert store.renew([(lease, 30)]) == [Outcome.RENEWED]


def test_a_renewal_without_any_time_left_is_given_up_at_once(
    redis_url: str, open_redis: OpenStore
) -> None:
    store = open_redis(redis_url)
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)

    with pytest.raises(StoreUnavailable):
        store.renew([(lease, 30)], within=-1.0)


def test_a_reply_that_drips_in_is_given_up_at_the_deadline(open_redis: OpenStore) -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        for byte in b"$1000\r\n" + b"x" * 1000:
            connection.sendall(bytes((byte,)))
            time.sleep(0.05)

    with FakeServer(drip) as server:
        store = open_redis(server.url, deadline=DEADLINE)

        with Stopwatch() as watch, pytest.raises(StoreUnavailable):
            store.peek("order:7")

    assert DEADLINE * 0.9 < watch.seconds < DEADLINE + SLACK


def test_a_login_that_drips_in_is_given_up_at_the_deadline(open_redis: OpenStore) -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        for byte in b"+" + b"O" * 1000:
            connection.sendall(bytes((byte,)))
            time.sleep(0.05)

    with FakeServer(drip) as server:
        store = open_redis(f"redis://:secret@127.0.0.1:{server.port}/0", deadline=DEADLINE)

        with Stopwatch() as watch, pytest.raises(StoreUnavailable):
            store.peek("order:7")

    assert DEADLINE * 0.9 < watch.seconds < DEADLINE + SLACK


def test_a_tls_handshake_that_nobody_answers_is_given_up_at_the_deadline(
    open_redis: OpenStore,
) -> None:
    with FakeServer(lambda connection: time.sleep(5)) as server:
        store = open_redis(f"rediss://127.0.0.1:{server.port}/0", deadline=DEADLINE)

        with Stopwatch() as watch, pytest.raises(StoreUnavailable):
            store.peek("order:7")

    assert DEADLINE * 0.9 < watch.seconds < DEADLINE + SLACK


def test_a_name_that_is_long_looked_up_is_given_up_at_the_deadline(
    open_redis: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup = socket.getaddrinfo

    def slow(host: str, *args: int) -> object:
        if host == "slow.test":
            if args[-1] & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "no number")
            time.sleep(3)
        return lookup(host, *args)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    store = open_redis("redis://slow.test:6379/0", deadline=DEADLINE)

    with Stopwatch() as watch, pytest.raises(StoreUnavailable):
        store.peek("order:7")

    assert DEADLINE * 0.9 < watch.seconds < DEADLINE + SLACK


def test_a_watch_of_a_hung_server_ends(fresh_redis: RedisServer, open_redis: OpenStore) -> None:
    store = open_redis(fresh_redis.url, deadline=DEADLINE)
    store.acquire(claim_of("order:7"))
    fresh_redis.pause()

    with Stopwatch() as watch, pytest.raises(StoreUnavailable):
        store.watch("order:7", 0.2)

    fresh_redis.resume()
    assert watch.seconds < 0.2 + DEADLINE + SLACK


@pytest.mark.parametrize("error", [TimeoutError("the alarm"), LookupError("the alarm")])
def test_what_a_signal_handler_raises_in_a_call_is_no_answer_of_the_store(
    fresh_redis: RedisServer, open_redis: OpenStore, error: Exception
) -> None:
    store = open_redis(fresh_redis.url, deadline=20.0)
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)
    fresh_redis.pause()
    before = signal.signal(signal.SIGALRM, lambda *_: raise_(error))

    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(type(error)) as raised:
            store.release(lease)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    fresh_redis.resume()
    assert raised.value is error
    assert store.release(lease)


def raise_(error: Exception) -> None:
    raise error


# -- connections that die --------------------------------------------------------------------


def test_a_dead_connection_is_replaced_within_the_call(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url)
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)

    with fresh_redis.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)

    assert store.release(lease)


def test_a_restarted_server_needs_no_new_store(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url)
    first = store.acquire(claim_of())
    assert isinstance(first, Lease)

    fresh_redis.restart()  # it keeps nothing on disk, and knows no script

    second = store.acquire(claim_of())
    assert isinstance(second, Lease)
    assert second.token > first.token
    assert store.renew([(first, 30)]) == [Outcome.LOST]


def test_forgotten_scripts_are_sent_again_within_the_call(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url)
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)

    with fresh_redis.client() as client:
        client.script_flush()

    assert store.renew([(lease, 30)]) == [Outcome.RENEWED]
    assert store.release(lease)


def test_a_connection_that_dies_twice_is_given_up(open_redis: OpenStore) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(65536)

    with FakeServer(hang_up) as server:
        store = open_redis(server.url, deadline=5.0)

        with Stopwatch() as watch, pytest.raises(StoreUnavailable, match="connection broke"):
            store.peek("order:7")

        assert server.connections == 2
    assert watch.seconds < 2.0


def test_a_late_reply_is_not_taken_for_the_next_one(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url, deadline=DEADLINE)
    store.peek("order:1")
    fresh_redis.pause()
    with pytest.raises(StoreUnavailable):
        store.acquire(claim_of("order:1"))

    fresh_redis.resume()

    assert store.peek("order:2") is None
    assert isinstance(store.acquire(claim_of("order:2")), Lease)


def test_a_server_that_is_gone_is_named_without_its_password(open_redis: OpenStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = open_redis(f"redis://alice:s3cret@127.0.0.1:{port}/2")

    with pytest.raises(StoreUnavailable) as raised:
        store.acquire(claim_of())

    assert raised.value.url == f"redis://127.0.0.1:{port}/2"
    assert "connection refused" in str(raised.value)
    assert "s3cret" not in repr(raised.value) + repr(store)
    assert raised.value.__cause__ is not None


def test_a_name_that_nobody_knows_is_said_so(
    open_redis: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    store = open_redis("redis://nowhere.test/0")

    with pytest.raises(StoreUnavailable, match=r"'nowhere.test' cannot be looked up \(Name or"):
        store.peek("order:7")
