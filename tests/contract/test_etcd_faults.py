"""What a store on etcd does when the wire or a member fails under it, and what it says then."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest

from celery_lock.errors import LockConfigurationError, StoreError, StoreUnavailable
from celery_lock.model import Lease, Outcome
from celery_lock.stores.etcd import EtcdStore
from tests.contract.conftest import claim_of
from tests.contract.fake_server import FakeServer
from tests.contract.programs.running import run
from tests.services import EtcdServer, Proxy, free_port, make_certificates
from tests.services.fixtures import EtcdFactory

pytestmark = pytest.mark.contract

Open = Callable[..., EtcdStore]


@pytest.fixture
def opened() -> Iterator[Open]:
    """`opened(url, deadline=0.5)`: a store that is closed with the test."""
    with ExitStack() as stack:

        def open_one(url: str, **options: Any) -> EtcdStore:
            store = EtcdStore(url, **{"deadline": 10.0, **options})
            stack.callback(store.close)
            return store

        yield open_one


@pytest.fixture
def proxy(etcd_server: EtcdServer) -> Iterator[Proxy]:
    with Proxy(etcd_server.port) as proxy:
        yield proxy


def granted(store: EtcdStore, key: str | None = None, **options: Any) -> Lease:
    lease = store.acquire(claim_of(key, **options))
    assert isinstance(lease, Lease), lease
    return lease


def refusal(store: EtcdStore, kind: type[StoreError] = StoreError) -> str:
    with pytest.raises(kind) as raised:
        store.acquire(claim_of())
    assert type(raised.value) is kind
    return str(raised.value)


def encoded(text: str) -> bytes:
    """What stands in each request that has this text within."""
    whole = b64encode(text.encode())
    return whole[: len(whole) // 4 * 4 - 4]


# -- the wire --------------------------------------------------------------------------------


def test_an_acquire_whose_reply_is_lost_is_asked_again_and_is_the_same_lease(
    proxy: Proxy, etcd_server: EtcdServer, opened: Open
) -> None:
    store, witness = opened(etcd_server.url_for(port=proxy.port)), opened(etcd_server.url)
    granted(store)
    claim = claim_of("lost:acquire")
    proxy.lose_reply(encoded("celery-lock:2/lock/lost:acquire"))

    lease = store.acquire(claim)

    proxy.wait_lost()
    assert isinstance(lease, Lease)
    held = witness.peek(claim.key)
    assert held is not None
    assert (held.holder, held.token) == (claim.holder, lease.token)
    assert witness.release(lease)


def test_a_release_and_a_renewal_whose_reply_is_lost_say_yes(
    proxy: Proxy, etcd_server: EtcdServer, opened: Open
) -> None:
    store = opened(etcd_server.url_for(port=proxy.port))
    lease = granted(store, "lost:release")
    for _ in range(2):
        proxy.lose_reply(encoded("celery-lock:2/lock/lost:release"))
        assert store.renew([(lease, 60.0)]) == [Outcome.RENEWED]
    proxy.lose_reply(encoded("celery-lock:2/lock/lost:release"))

    assert store.release(lease)

    proxy.wait_lost()


def test_an_idle_connection_that_was_cut_costs_no_error(
    proxy: Proxy, etcd_server: EtcdServer, opened: Open
) -> None:
    store = opened(etcd_server.url_for(port=proxy.port))
    lease = granted(store)

    proxy.cut()

    assert store.release(lease)


def test_a_member_that_hangs_costs_the_deadline(
    proxy: Proxy, etcd_server: EtcdServer, opened: Open
) -> None:
    store = opened(etcd_server.url_for(port=proxy.port), deadline=0.3)
    proxy.swallow()

    said = refusal(store, StoreUnavailable)

    assert "no answer within 0.3 s" in said
    assert "a majority" in said


def test_nobody_who_listens_is_named(opened: Open) -> None:
    port = free_port()
    store = opened(f"etcd://user:s3cret@127.0.0.1:{port}")

    said = refusal(store, StoreUnavailable)

    assert f"nobody listens at etcd://127.0.0.1:{port} (connection refused)" in said
    assert "s3cret" not in said


def test_another_member_is_asked_where_the_first_hangs_or_is_gone(
    proxy: Proxy, etcd_server: EtcdServer, opened: Open
) -> None:
    gone, alive = f"127.0.0.1:{free_port()}", f"127.0.0.1:{etcd_server.port}"
    store = opened(f"etcd://127.0.0.1:{proxy.port},{gone},{alive}", deadline=3.0)
    lease = granted(store)
    proxy.swallow()

    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]

    connections = proxy.connections
    assert store.release(lease)
    assert proxy.connections == connections, "the one that hung is asked again and again"


NO_LEADER = b'{"error":"etcdserver: no leader","code":14,"message":"etcdserver: no leader"}'
HEAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
CUT_OFF = HEAD + b"Content-Length: %d\r\n\r\n" % len(NO_LEADER) + NO_LEADER
"""What a member without a leader answers."""


def test_behind_one_address_a_member_without_a_leader_is_left(
    etcd_server: EtcdServer, opened: Open
) -> None:
    """A balancer leads a new connection to a member that is well."""

    def talk(connection: socket.socket) -> None:
        while asked := connection.recv(65536):
            connection.sendall(CUT_OFF * asked.count(b"POST "))

    with FakeServer(talk) as cut_off, Proxy(cut_off.port) as proxy:
        store = opened(f"etcd://127.0.0.1:{proxy.port}", deadline=2.0)
        assert "no leader" in refusal(store, StoreUnavailable)

        proxy.target = (etcd_server.host, etcd_server.port)

        granted(store)


def test_a_refusal_is_named_though_the_try_after_it_got_no_answer(opened: Open) -> None:
    said = [CUT_OFF]

    def talk(connection: socket.socket) -> None:
        while connection.recv(65536):
            if said:
                connection.sendall(said.pop())

    with FakeServer(talk) as server:
        store = opened(f"etcd://127.0.0.1:{server.port}", deadline=1.0)

        assert "no leader" in refusal(store, StoreUnavailable)
    assert said == []


def test_what_follows_a_refusal_is_in_step(etcd_server: EtcdServer, opened: Open) -> None:
    """An error of the gateway ends with lines behind its text."""
    store = opened(etcd_server.url)
    lease = granted(store)
    for _ in range(3):
        with pytest.raises(Exception, match="lease not found"):
            store._gateway.ask("/v3/kv/put", {"key": "eA==", "lease": "77"})

    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    assert len(store._gateway._own.value.idle) == 1


def test_a_member_that_was_killed_and_is_back_knows_its_leases(
    etcd_factory: EtcdFactory, opened: Open
) -> None:
    server = etcd_factory()
    store = opened(server.url)
    lease = granted(store)
    server.kill()
    assert "connection refused" in refusal(store, StoreUnavailable)

    server.start()

    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    assert store.release(lease)


# -- what it is ------------------------------------------------------------------------------


def test_a_server_that_is_none_is_told_so(redis_url: str, opened: Open) -> None:
    store = opened(redis_url.replace("redis://", "etcd://").rpartition("/")[0])

    assert "is it an etcd" in refusal(store, StoreUnavailable)


@pytest.mark.parametrize(
    "said", [b"+PONG\r\n", b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found"]
)
def test_what_a_stranger_answers_is_shown(opened: Open, said: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(said)

    with FakeServer(talk) as server:
        store = opened(f"etcd://127.0.0.1:{server.port}")

        assert "is no etcd with a JSON gateway: it answered" in refusal(store)


def test_tls_is_asked_for_at_the_right_port(
    etcd_server: EtcdServer, opened: Open, tmp_path: Any
) -> None:
    others = make_certificates(tmp_path)
    secure = etcd_server.tls_url()
    unknown = secure.replace(str(etcd_server.tls.ca), str(others.ca))  # type: ignore[union-attr]

    plain = opened(etcd_server.url_for(port=etcd_server.tls_port))

    assert "does it want TLS (etcds://)?" in refusal(plain, StoreUnavailable)
    assert "certificate of" in refusal(opened(unknown))
    assert "was not accepted" in refusal(opened(secure.partition("?")[0]))
    assert "not there" in refusal(opened(f"{secure}.gone"))
    unsecured = opened(etcd_server.tls_url(port=etcd_server.port))
    assert "is that a TLS port" in refusal(unsecured, StoreUnavailable)


# -- who may ---------------------------------------------------------------------------------


def test_users_log_in_and_stay_so(etcd_factory: EtcdFactory, opened: Open) -> None:
    server = etcd_factory(args=["--auth-token-ttl=1"])
    server.with_users(alice="s3cret")
    store = opened(server.url_for(login="alice:s3cret@"))
    lease = granted(store)
    store._gateway._own.value.token += "x"  # it has run out, or the member was restarted

    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    assert all("users" not in warning for warning in store.check())
    assert store.release(lease)

    other = opened(server.url_for(login="alice:s3cret@"), prefix="elsewhere:")
    said = refusal(other)
    assert "does not permit user 'alice'" in said
    assert "role grant-permission" in said
    assert "does not know this password (user 'alice')" in refusal(
        opened(server.url_for(login="alice:wr0ng@"))
    )
    nobody = refusal(opened(server.url))
    assert "wants a user and a password" in nobody
    assert "s3cret" not in nobody + said


def test_a_login_that_nobody_asks_for_is_refused(etcd_server: EtcdServer, opened: Open) -> None:
    said = refusal(opened(etcd_server.url_for(login="alice:s3cret@")))

    assert "has no users" in said
    assert "s3cret" not in said


# -- space, and what check says --------------------------------------------------------------


def test_a_full_database_takes_no_locks_and_check_warns_before(
    etcd_factory: EtcdFactory, opened: Open
) -> None:
    server = etcd_factory(args=[f"--quota-backend-bytes={8 << 20}", "--backend-batch-limit=1"])
    store = opened(server.url)
    lease = granted(store)
    for number in range(60):
        store.release(granted(store, f"key:{number}"))
    value, numbers = b64encode(b"x" * 200_000).decode(), count()

    def grow() -> int:
        key = b64encode(b"%d" % next(numbers)).decode()
        server.ask("/v3/kv/put", {"key": key, "value": value})
        return int(server.ask("/v3/maintenance/status")["dbSize"])

    while grow() < 0.8 * (8 << 20):
        pass
    warnings = " ".join(store.check())
    assert "of the 8 MiB that its quota allows" in warnings
    assert "has never compacted its history" in warnings
    assert "etcd 3.4" not in warnings or "frozen" in warnings

    for _ in range(20):
        grow()
    said = refusal(store, StoreUnavailable)
    assert "has reached its quota" in said
    assert "etcdctl alarm disarm" in said
    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED], "who has a lease keeps it"
    with pytest.raises(StoreUnavailable, match="quota"):
        store.check()


def test_a_server_that_compacts_is_not_warned_of(etcd_factory: EtcdFactory, opened: Open) -> None:
    store = opened(etcd_factory(args=["--auto-compaction-retention=1"]).url)
    for number in range(60):
        store.release(granted(store, f"key:{number}"))

    assert "compacted" not in " ".join(store.check())


# -- many ------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["etcd_forks", "etcd_greenlets"])
def test_a_store_is_used_by_many(etcd_server: EtcdServer, program: str) -> None:
    assert run(program, etcd_server.url) == "well\n"


# -- the URL ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "options", "sentence"),
    [
        ("etcd://h/0", {}, "has no databases"),
        ("etcd://user@h", {}, "etcd wants a user and a password"),
        ("etcd://h?ssl_cacerts=x", {}, "did you mean 'ssl_ca_certs'"),
        ("etcd://h?ssl_validate_ocsp=true", {}, "for etcd it may have ssl_ca_certs"),
        ("etcd://h", {"pasword": "s3cret"}, "did you mean 'password'"),
        ("etcd://h:port", {}, "write etcd://host:2379"),
        ("etcd://u:s3#cret@h", {}, "Percent-encode"),
        ("etcd://h1,,h2", {}, "write etcd://host:2379"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused(
    url: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(LockConfigurationError) as raised:
        EtcdStore(url, options=options)

    assert sentence in str(raised.value)
    assert "s3" not in str(raised.value)


def test_several_members_are_shown_and_no_login() -> None:
    store = EtcdStore("etcds://u:s3cret@h1,[::1]:2380?ssl_cert_reqs=none")

    assert store.url == "etcds://h1:2379,[::1]:2380"
    assert "s3cret" not in repr(store)
