"""What a store on ZooKeeper does when the wire or the server fails; forks, greenlets, TLS."""

from __future__ import annotations

import errno
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import trustme
from kazoo.client import KazooState

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Change, Held, Lease, Outcome
from celery_lock.stores.zookeeper import ZooKeeperStore
from celery_lock.stores.zookeeper.address import Address
from celery_lock.stores.zookeeper.link import Link
from tests.contract.conftest import claim_of
from tests.contract.programs.running import run
from tests.services import STALL, Certificates, Proxy, ZooKeeperServer, wait_for
from tests.services.ports import free_port

pytestmark = pytest.mark.contract

DEADLINE = 0.5

Open = Callable[..., ZooKeeperStore]


@pytest.fixture(scope="module")
def own_server(
    zookeeper_server: ZooKeeperServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ZooKeeperServer]:
    """A server that the tests of this module may kill: a JVM for each would take too long."""
    with ZooKeeperServer(tmp_path_factory.mktemp("own-zookeeper")) as server:
        yield server


@pytest.fixture
def server(own_server: ZooKeeperServer) -> Iterator[ZooKeeperServer]:
    if not own_server.alive():
        own_server.start()
    yield own_server
    own_server.resume()


@pytest.fixture
def proxy(zookeeper_server: ZooKeeperServer) -> Iterator[Proxy]:
    with Proxy(zookeeper_server.port) as proxy:
        yield proxy


@pytest.fixture
def opened() -> Iterator[Open]:
    with ExitStack() as stack:

        def open_one(url: str, **options: Any) -> ZooKeeperStore:
            options.setdefault("deadline", 10.0)  # a busy machine may stand still for seconds
            store = ZooKeeperStore(url, **options)
            stack.callback(store.close)
            return store

        yield open_one


def url_of(proxy: Proxy) -> str:
    return f"zookeeper://{proxy.host}:{proxy.port}/faults"


def granted(store: ZooKeeperStore, key: str | None = None, **options: Any) -> Lease:
    lease = store.acquire(claim_of(key, **options))
    assert isinstance(lease, Lease)
    return lease


def answers(store: ZooKeeperStore) -> bool:
    """Whether a store answers within its deadline, which may be short for a busy machine."""
    with suppress(StoreError):
        store.peek("order:7")
        return True
    return False


class Stopwatch:
    def __enter__(self) -> Stopwatch:
        self._start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._start


# -- deadlines -------------------------------------------------------------------------------


def test_a_hung_server_costs_one_deadline_whoever_asks(
    server: ZooKeeperServer, opened: Open
) -> None:
    patient = opened(server.url_for("/hung"), deadline=20.0)
    lease, store = granted(patient), opened(server.url_for("/hung"), deadline=DEADLINE)
    unconnected = opened(server.url_for("/hung"), deadline=DEADLINE)
    wait_for(lambda: answers(store), "a connection")
    calls = {
        "acquire": lambda: store.acquire(claim_of()),
        "release": lambda: store.release(lease),
        "renew": lambda: store.renew([(lease, 30.0)]),
        "peek": lambda: unconnected.peek("order:7"),
    }
    waited = {}
    server.pause()

    for name, call in calls.items():
        with Stopwatch() as watch, pytest.raises(StoreUnavailable):
            call()
        waited[name] = watch.seconds
    with Stopwatch() as soon, pytest.raises(StoreUnavailable):
        store.renew([(lease, 30.0)], within=0.1)

    server.resume()
    assert {
        name for name, took in waited.items() if not 0.9 * DEADLINE < took < DEADLINE + STALL
    } == set()
    assert soon.seconds < 0.1 + STALL
    assert patient.renew([(lease, 30.0)]) == [Outcome.RENEWED]


def test_the_wait_for_a_hung_server_dates_nothing_into_the_future(
    server: ZooKeeperServer, opened: Open
) -> None:
    granted(opened(server.url_for("/dated")))  # the root is there
    store, waits = opened(server.url_for("/dated"), deadline=30.0), 3 * STALL
    change = Change("beat:shop", "e", expected=None, stamp="1", value="{}", ttl=30.0)
    server.pause()
    threading.Timer(waits, server.resume).start()

    with Stopwatch() as watch:
        changed = store.change(change)

    assert watch.seconds >= waits
    assert changed.record is not None
    # leader and test have the same clock
    assert changed.record.written <= time.time() + STALL


def test_closing_a_store_whose_server_hangs_takes_no_longer_than_a_call(
    server: ZooKeeperServer, opened: Open
) -> None:
    store = opened(server.url_for("/hung"), deadline=DEADLINE)
    wait_for(lambda: answers(store), "a connection")
    server.pause()

    with Stopwatch() as watch:
        store.close()

    server.resume()
    assert watch.seconds < DEADLINE + STALL


def test_a_call_during_which_the_store_is_closed_leaves_no_session_behind(
    proxy: Proxy, opened: Open
) -> None:
    store, errors = opened(url_of(proxy), deadline=10.0), list[StoreError]()
    store.peek("order:7")
    link = store._own.value.registers.link
    proxy.swallow()

    def ask() -> None:
        with pytest.raises(StoreUnavailable) as raised:
            store.peek("order:7")
        errors.append(raised.value)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_for(lambda: len(link._client._pending) > 1, "the question")

    store.close()

    asking.join(20)
    assert "closed during the call" in str(errors[0])
    assert link._client is None
    proxy.forward()
    assert store.peek("order:7") is None, "the store works again"


def test_a_slow_server_is_waited_for(proxy: Proxy, opened: Open) -> None:
    store = opened(url_of(proxy), deadline=5.0)
    store.peek("warm up")
    proxy.delay = 0.1

    assert store.release(granted(store))


def test_a_server_that_leaves_a_request_lying_is_nudged(proxy: Proxy, opened: Open) -> None:
    store = opened(url_of(proxy), deadline=10.0)
    store.peek("order:7")
    client = store._own.value.registers.link._client
    proxy.swallow()
    asking = threading.Thread(target=lambda: suppressed(lambda: store.peek("order:7")))
    asking.start()

    wait_for(lambda: len(client._pending) > 4, "two requests more than the look")

    proxy.forward()
    proxy.cut()
    asking.join(20)
    assert not asking.is_alive()


def suppressed(call: Callable[[], object]) -> None:
    with suppress(StoreError):
        call()


def test_a_claim_that_was_given_up_and_undone_is_refused(proxy: Proxy, opened: Open) -> None:
    store = opened(url_of(proxy), deadline=DEADLINE)
    key = "given-up"
    wait_for(lambda: answers(store), "a connection")
    claim = claim_of(key)
    proxy.drop_replies()
    with pytest.raises(StoreUnavailable):
        store.acquire(claim)
    proxy.forward()
    proxy.cut()
    patient = opened(url_of(proxy), deadline=20.0)

    patient.undo(claim)

    assert patient.peek(key) is None
    assert isinstance(patient.acquire(claim), Held)


# -- servers that are gone -------------------------------------------------------------------


def test_a_refused_connection_is_said_at_once(opened: Open) -> None:
    store = opened(f"zookeeper://127.0.0.1:{free_port()}/x", deadline=30.0)

    for _ in range(3):
        with Stopwatch() as watch, pytest.raises(StoreUnavailable, match="connection refused"):
            store.acquire(claim_of())
        assert watch.seconds < 10.0


def test_a_name_that_cannot_be_looked_up_is_said_at_once(opened: Open) -> None:
    store = opened("zookeeper://no-such-host.invalid/x", deadline=30.0)

    with Stopwatch() as watch, pytest.raises(StoreUnavailable, match="can the names be looked up"):
        store.acquire(claim_of())

    assert watch.seconds < 20.0


def test_servers_that_close_each_connection_are_tried_until_the_deadline(
    proxy: Proxy, opened: Open
) -> None:
    """As those do that have no quorum, or elect a leader."""
    store = opened(url_of(proxy), deadline=DEADLINE)
    proxy.refuse()

    def reason() -> str:
        with Stopwatch() as watch, pytest.raises(StoreUnavailable) as raised:
            store.acquire(claim_of())
        assert watch.seconds > 0.9 * DEADLINE
        return str(raised.value)

    # A machine that stands still for the whole of a deadline has tried no server in it.
    wait_for(lambda: "too few for a quorum" in reason(), "a server that was tried")


def test_the_error_of_an_outage_says_nothing_of_the_outage_before() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"zookeeper://127.0.0.1:{silent.getsockname()[1]}/before"
        link = Link(Address.parse(url, {}), deadline=10.0)
        client = link._started()
        refused = [ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")]
        client.handler._errors += refused
        link.round_failed(refused, 0)
        link._turned(client, KazooState.CONNECTED)

        with pytest.raises(StoreUnavailable) as raised:
            link._connected(time.monotonic())
        client.handler.sleep_func(0)
        with pytest.raises(StoreUnavailable) as in_the_next_round:
            link._connected(time.monotonic())
        link.close()

    assert "refused" not in f"{raised.value} {in_the_next_round.value}"


def test_a_call_survives_a_connection_that_breaks(proxy: Proxy, opened: Open) -> None:
    store = opened(url_of(proxy), deadline=10.0)
    lease = granted(store)

    proxy.cut()

    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    proxy.cut()
    assert store.release(lease)


def test_leases_outlive_a_killed_server_and_its_clients_come_back(
    server: ZooKeeperServer, opened: Open
) -> None:
    store = opened(server.url_for("/killed"))
    lease = granted(store, "order:7")
    server.kill()
    with pytest.raises(StoreUnavailable):
        store.renew([(lease, 30.0)])

    server.start()
    with Stopwatch() as watch:
        answer = store.acquire(claim_of("order:7"))

    assert isinstance(answer, Held)
    assert watch.seconds < 2.0 + 2 * STALL
    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]


def test_a_server_that_comes_back_empty_is_used(server: ZooKeeperServer, opened: Open) -> None:
    """It knows nothing of what its clients have seen, and takes no client that says so."""
    store = opened(server.url_for("/emptied"))
    lease = granted(store, "order:7")
    server.kill()
    shutil.rmtree(server.data / "version-2")

    server.start()

    assert store.renew([(lease, 30.0)]) == [Outcome.LOST]
    after = granted(store, "order:7")
    assert after.token > lease.token


def test_another_server_is_asked_when_one_hangs(
    proxy: Proxy, zookeeper_server: ZooKeeperServer, opened: Open
) -> None:
    """The other way leads to the same server, which is well."""
    store = opened(f"zookeeper://{proxy.host}:{proxy.port},127.0.0.1:{zookeeper_server.port}/two")
    for _ in range(20):  # until its session is the one that will hang
        store.peek("order:7")
        if proxy.connections:
            break
        store.close()
    assert proxy.connections
    proxy.swallow()

    lease = granted(store, "order:7")

    assert store.release(lease)


# -- watching --------------------------------------------------------------------------------


def test_a_broken_connection_leaves_no_watcher_behind(proxy: Proxy, opened: Open) -> None:
    store, other = opened(url_of(proxy)), opened(url_of(proxy))
    lease = granted(other, "watched")
    store.acquire(claim_of("watched", watching=True))
    ended = threading.Event()

    def wait_for_it() -> None:
        store.watch("watched", 10.0)
        ended.set()

    threading.Thread(target=wait_for_it, daemon=True).start()
    wait_for(lambda: store._own.value.watches._watches, "the watch")
    proxy.cut()
    store.peek("watched")
    assert other.release(lease)

    assert ended.wait(5.0)


def test_many_waits_in_vain_leave_one_watch(proxy: Proxy, opened: Open) -> None:
    store = opened(url_of(proxy))
    granted(store, "in-vain")

    for _ in range(20):
        store.watch("in-vain", 0.01)

    client = store._own.value.registers.link._client
    assert sum(map(len, client._data_watchers.values())) == 1


# -- TLS -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secure(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ZooKeeperServer]:
    folder = tmp_path_factory.mktemp("secure-zookeeper")
    with ZooKeeperServer(folder, tls=certificates) as server:
        yield server


def test_locks_are_kept_over_tls(
    secure: ZooKeeperServer, certificates: Certificates, opened: Open
) -> None:
    store = opened(secure.url_for(f"/tls?ssl_ca_certs={certificates.ca}"), deadline=10.0)

    lease = granted(store)

    assert store.check() == []
    assert store.release(lease)


def test_a_certificate_of_somebody_else_is_refused(secure: ZooKeeperServer, opened: Open) -> None:
    store = opened(secure.url_for("/tls"), options={"ssl": True}, deadline=10.0)

    with Stopwatch() as watch, pytest.raises(StoreError, match="was not accepted") as raised:
        store.acquire(claim_of())

    assert not isinstance(raised.value, StoreUnavailable)
    assert watch.seconds < 10.0


def test_a_certificate_that_nobody_verifies_is_warned_of(
    secure: ZooKeeperServer, opened: Open
) -> None:
    store = opened(
        secure.url_for("/tls"), options={"ssl": {"ssl_cert_reqs": "none"}}, deadline=10.0
    )

    [warning] = store.check()

    assert "is not verified" in warning


def test_tls_where_there_is_none_and_none_where_there_is(
    secure: ZooKeeperServer,
    zookeeper_server: ZooKeeperServer,
    certificates: Certificates,
    opened: Open,
) -> None:
    for url in (
        zookeeper_server.url_for(f"/tls?ssl_ca_certs={certificates.ca}"),
        secure.url_for("/tls"),
    ):
        store = opened(url, deadline=1.0)
        with Stopwatch() as watch, pytest.raises(StoreError):
            store.acquire(claim_of())
        assert watch.seconds < 1.0 + STALL


def test_an_expired_certificate_is_said_to_be_one(tmp_path: Path, opened: Open) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    past = datetime.now(timezone.utc) - timedelta(days=2)
    expired = authority.issue_cert("127.0.0.1", not_before=past, not_after=past + timedelta(days=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expired.configure_cert(context)
    with Listening(context) as port:
        url = f"zookeeper://127.0.0.1:{port}/x?ssl_ca_certs={tmp_path / 'ca.pem'}"
        store = opened(url, deadline=10.0)

        with pytest.raises(StoreError, match="certificate has expired"):
            store.acquire(claim_of())


class Listening:
    """A port that shakes hands for TLS, and does no more."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._plain = socket.create_server(("127.0.0.1", 0))
        self._secure = context.wrap_socket(self._plain, server_side=True)

    def __enter__(self) -> int:
        threading.Thread(target=self._accept, daemon=True).start()
        port: int = self._secure.getsockname()[1]
        return port

    def _accept(self) -> None:
        while self._secure.fileno() >= 0:
            try:
                self._secure.accept()[0].close()
            except OSError:
                continue

    def __exit__(self, *error: object) -> None:
        self._secure.close()


# -- forks and greenlets ---------------------------------------------------------------------


@pytest.mark.parametrize("program", ["zookeeper_forks", "zookeeper_greenlets"])
def test_children_and_greenlets_share_no_connection_wrongly(
    program: str, zookeeper_server: ZooKeeperServer
) -> None:
    run(program, zookeeper_server.url_for("/f"))


def test_forty_threads_share_one_connection(
    zookeeper_server: ZooKeeperServer, opened: Open
) -> None:
    store, done = opened(zookeeper_server.url_for("/threads"), deadline=20.0), list[bool]()
    before = zookeeper_server.say("cons").count("/127.0.0.1")

    def work() -> None:
        for n in range(3):
            key = f"order:{n}"
            claim = claim_of(key, watching=True)
            while not isinstance(lease := store.acquire(claim), Lease):
                store.watch(key, 5.0)
            done.append(bool(store.release(lease)))

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert done == [True] * 120
    assert zookeeper_server.say("cons").count("/127.0.0.1") <= before + 1
