"""Which server the sentinels' answers lead to, and what is said where they lead to none."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from time import monotonic
from typing import Any

import pytest

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Lease
from celery_lock.stores.redis.link import sentinels
from celery_lock.stores.redis.link.resp import command
from celery_lock.stores.redis.sentinel import SentinelStore, open_sentinel
from celery_lock.stores.redis.store import RedisStore
from tests.contract.conftest import claim_of
from tests.contract.fake_server import FakeServer
from tests.contract.programs.running import run
from tests.services.certificates import Certificates
from tests.services.fixtures import ProxyFactory, WatchedFactory
from tests.services.ports import LOOPBACK
from tests.services.redis_server import RedisServer
from tests.services.sentinel_server import Watched
from tests.services.waiting import wait_for
from tests.unit.forking import holds_in_a_child

pytestmark = pytest.mark.contract

Talk = Callable[[socket.socket], None]


def naming(port: int, *, epoch: int | None = 0, flags: str = "master", others: int = 2) -> Talk:
    """A sentinel that names the server at a port; without an epoch it may not say more."""
    where = command(LOOPBACK, str(port))
    facts = ("flags", flags, "num-other-sentinels", others, "config-epoch", epoch or 0)
    about = b"-NOPERM no permission\r\n" if epoch is None else command(*facts)
    return saying(where, about)


def saying(where: bytes, about: bytes = b"-ERR No such master with that name\r\n") -> Talk:
    """A sentinel that answers so: each question has two commands."""

    def talk(connection: socket.socket) -> None:
        said = b""
        while more := connection.recv(65536):
            said += more
            while said.count(b"SENTINEL") > 1:
                said = said.split(b"SENTINEL", 2)[2]
                connection.sendall(where + about)

    return talk


def hanging(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def role(said: str, otherwise: bytes = b"-READONLY no writes\r\n") -> Talk:
    """A server that says what it is, and answers so to everything else."""

    def talk(connection: socket.socket) -> None:
        while more := connection.recv(65536):
            connection.sendall(command(said) if b"ROLE" in more else otherwise)

    return talk


class Fakes:
    """Fake sentinels, and stores that ask them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.servers: list[FakeServer] = []

    def serve(self, talk: Talk) -> int:
        self.servers.append(self._stack.enter_context(FakeServer(talk)))
        return self.servers[-1].port

    def store(self, *talks: Talk | int, deadline: float = 2.0, **options: Any) -> SentinelStore:
        ports = [talk if isinstance(talk, int) else self.serve(talk) for talk in talks]
        url = f"sentinel://{','.join(f'{LOOPBACK}:{port}' for port in ports)}/mymaster"
        store = open_sentinel(url, options=options, deadline=deadline, prefix="celery-lock:")
        self._stack.callback(store.close)
        return store


@pytest.fixture
def fakes() -> Iterator[Fakes]:
    with ExitStack() as stack:
        yield Fakes(stack)


@pytest.fixture
def port(redis_server: RedisServer, redis_url: str) -> int:
    return redis_server.port


def closed() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def granted(store: RedisStore) -> bool:
    return isinstance(store.acquire(claim_of()), Lease)


def failure(store: RedisStore) -> str:
    with pytest.raises(StoreUnavailable) as raised:
        store.acquire(claim_of())
    return str(raised.value)


def unavailable(store: RedisStore) -> str:
    said = failure(store)
    assert store.url in said
    return said


def slowly(talk: Talk, seconds: float) -> Talk:
    """A sentinel that needs so long for its answers."""

    def late(connection: socket.socket) -> None:
        time.sleep(seconds)
        talk(connection)

    return late


# -- whom to believe -------------------------------------------------------------------------


def test_the_sentinels_are_asked_once_for_many_calls(fakes: Fakes, port: int) -> None:
    store = fakes.store(naming(port), naming(port), naming(port))

    assert all(granted(store) for _ in range(5))

    assert [server.connections for server in fakes.servers] == [1, 1, 1]


def test_one_that_hangs_costs_the_others_none_of_their_time(fakes: Fakes, port: int) -> None:
    store = fakes.store(hanging, naming(port), naming(port), deadline=30.0)

    begun = monotonic()

    assert granted(store)
    assert monotonic() - begun < 0.25 * 30, "its share of the call's time was waited for"


def test_one_that_answers_is_enough(fakes: Fakes, port: int) -> None:
    store = fakes.store(hanging, naming(port), closed(), deadline=1.0)

    assert granted(store)


def test_sentinels_that_are_slow_are_waited_for_while_nobody_has_named_a_primary(
    fakes: Fakes, port: int
) -> None:
    """More than the share of those that are late: without a name the rest is of no use."""
    slow = slowly(naming(port), 1.0)
    store = fakes.store(slow, slow, hanging, deadline=3.0)

    assert granted(store)


def test_of_two_answers_the_one_of_the_later_fail_over_counts(fakes: Fakes, port: int) -> None:
    before = fakes.serve(role("master"))

    store = fakes.store(naming(before, epoch=4), naming(before, epoch=4), naming(port, epoch=5))

    assert granted(store)


def test_where_no_fail_over_is_known_most_of_them_count(fakes: Fakes, port: int) -> None:
    other = fakes.serve(role("master"))

    store = fakes.store(naming(other, epoch=None), *[naming(port, epoch=None)] * 2)

    assert granted(store)


def test_a_server_that_is_no_primary_is_not_believed_to_be_one(fakes: Fakes) -> None:
    replica = fakes.serve(role("slave"))
    store = fakes.store(naming(replica))

    said = unavailable(store)

    assert f"name {LOOPBACK}:{replica} as the primary" in said
    assert "it says that it is no primary (ROLE: slave)" in said


def test_a_server_that_may_not_say_what_it_is_is_believed(fakes: Fakes, port: int) -> None:
    def silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(b"-NOPERM this user has no permissions\r\n")

    store = fakes.store(naming(fakes.serve(silent)))

    with pytest.raises(StoreError, match="does not permit"):
        store.acquire(claim_of())


def test_one_that_knows_too_few_others_is_not_believed(fakes: Fakes, port: int) -> None:
    alone = naming(port, others=0)

    assert "min_other_sentinels=1" in unavailable(fakes.store(alone, min_other_sentinels=1))
    assert granted(fakes.store(alone, naming(port, others=1), min_other_sentinels=1))


# -- doubts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dead", ["refuses", "hangs", "takes no writes"])
def test_after_a_doubt_the_sentinels_are_asked_again(
    fakes: Fakes, port: int, proxy_factory: ProxyFactory, dead: str
) -> None:
    proxy = proxy_factory(port)
    names = [fakes.serve(role("master")) if dead == "takes no writes" else proxy.port]
    store = fakes.store(lambda connection: naming(names[0])(connection))
    if dead == "takes no writes":
        assert "read-only replica" in failure(store)
    elif dead == "hangs":
        assert granted(store)
        proxy.swallow()
        assert "no answer within" in failure(store)
    else:
        assert granted(store)
        proxy.refuse()
        proxy.cut()

    names[0] = port

    assert granted(store)


def test_a_fail_over_from_a_primary_that_is_well_is_noticed(
    fakes: Fakes, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fakes.serve(role("master", b":7\r\n"))
    names = [naming(before, epoch=3)]
    store = fakes.store(lambda connection: names[0](connection))
    assert token(store) == 7
    names[0] = naming(port, epoch=4)
    assert token(store) == 7, "they are not asked before each call"

    monkeypatch.setattr(sentinels, "FRESH", 0.0)
    store._sentinels.suspect()

    assert token(store) > 7
    assert token(store) > 7


def test_a_sentinel_that_knows_less_changes_no_mind(
    fakes: Fakes, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinels, "FRESH", 0.0)
    names = [naming(port, epoch=4)]
    store = fakes.store(lambda connection: names[0](connection))
    assert token(store) > 7

    for known in (naming(fakes.serve(role("master")), epoch=3), hanging, saying(b"$-1\r\n")):
        names[0] = known
        assert token(store) > 7

    assert store._sentinels.doubts == 0


def test_too_few_replicas_are_a_reason_to_ask(fakes: Fakes, port: int) -> None:
    """They may follow another primary by now."""
    before = fakes.serve(role("master", b":7\r\n:0\r\n"))
    after = fakes.serve(role("master", b":8\r\n:1\r\n"))
    talks = [naming(before, epoch=3), naming(after, epoch=4)]
    store = fakes.store(
        lambda connection: (talks.pop(0) if len(talks) > 1 else talks[0])(connection), replicas=1
    )

    with pytest.raises(StoreUnavailable, match="none of its replicas"):
        store.acquire(claim_of())

    assert token(store) == 8


def token(store: SentinelStore) -> int:
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)
    return lease.token


def test_a_doubt_of_many_threads_asks_once(fakes: Fakes, port: int) -> None:
    store = fakes.store(naming(port))
    assert granted(store)
    directory = store._server._directory
    address = directory.find(monotonic() + 5)

    for _ in range(10):
        directory.doubt(address)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(directory.find(monotonic() + 5)))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert directory.doubts == 1
    assert fakes.servers[0].connections == 2
    assert len({id(one) for one in found}) == 1


# -- what is said ----------------------------------------------------------------------------


def test_who_was_asked_and_what_each_said_is_named(fakes: Fakes) -> None:
    refused = closed()
    store = fakes.store(
        refused, hanging, saying(b"-LOADING wait\r\n"), lambda connection: None, deadline=0.4
    )

    said = unavailable(store)

    _, hung, loading, gone = [f"{LOOPBACK}:{port}" for port in _ports(store)]
    assert "none of its sentinels names a primary of 'mymaster'" in said
    assert f"{LOOPBACK}:{refused}: nobody listens there (connection refused)" in said
    assert f"{hung}: it gave no answer in time" in said
    assert f"{loading}: it refused: LOADING wait" in said
    assert f"{gone}: it broke the connection off" in said


def _ports(store: RedisStore) -> list[str]:
    return [
        one.rpartition(":")[2] for one in store.url[len("sentinel://") :].split("/")[0].split(",")
    ]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"-NOAUTH Authentication required.\r\n", "set one in sentinel_kwargs"),
        (b"-NOPERM this user\r\n", "+sentinel|get-master-addr-by-name"),
        (b"-ERR unknown command 'SENTINEL'\r\n", "it is no sentinel"),
        (b"HTTP/1.1 400 Bad Request\r\n", "is no Redis or Valkey server"),
    ],
)
def test_what_does_not_pass_by_itself_is_told_apart(
    fakes: Fakes, answer: bytes, sentence: str
) -> None:
    store = fakes.store(saying(answer))

    with pytest.raises(StoreError) as raised:
        store.acquire(claim_of())

    assert sentence in str(raised.value)
    assert not isinstance(raised.value, StoreUnavailable)


def test_a_service_that_nobody_knows_is_named_with_those_that_there_are(watched: Watched) -> None:
    url = watched.url_for(service="mymastr")
    store = open_sentinel(url, options={}, deadline=2.0, prefix="celery-lock:")

    with pytest.raises(StoreError, match="did you mean 'mymaster'") as raised:
        store.acquire(claim_of())

    assert "they know mymaster" in str(raised.value)
    assert url in str(raised.value)


def test_a_name_that_does_not_exist_is_named(fakes: Fakes) -> None:
    url = "sentinel://nobody.invalid:26379/mymaster"
    store = open_sentinel(url, options={}, deadline=2.0, prefix="celery-lock:")

    assert "nobody.invalid" in unavailable(store)


def test_a_sentinel_may_be_named_by_a_name(watched: Watched) -> None:
    url = f"sentinel://localhost:{watched.sentinels[0].port}/mymaster"
    store = open_sentinel(url, options={}, deadline=2.0, prefix="celery-lock:")

    assert granted(store)
    store.close()


def test_a_server_that_is_a_sentinel_says_how_it_is_asked(watched: Watched) -> None:
    store = RedisStore(f"redis://{LOOPBACK}:{watched.sentinels[0].port}/0")

    with pytest.raises(StoreError, match="sentinel://host:26379/mymaster"):
        store.acquire(claim_of())
    store.close()


def test_sentinels_that_would_be_missed_one_day_are_warned_of(
    watched: Watched, fakes: Fakes
) -> None:
    store = fakes.store(watched.sentinels[0].port, closed(), hanging, deadline=1.0)

    warnings = store.check()

    assert len(warnings) == 2
    assert "nobody listens there" in warnings[0]
    assert "it gave no answer in time" in warnings[1]


def test_a_fail_over_that_is_not_possible_now_is_warned_of(
    watched_factory: WatchedFactory,
) -> None:
    watched = watched_factory(quorum=2)
    with closing(SentinelStore(watched.url)) as store:
        (warning,) = store.check()

    assert warning.startswith("no fail-over is possible now, says 127.0.0.1:")
    assert "NOQUORUM" in warning


# -- logins and TLS --------------------------------------------------------------------------


@pytest.fixture
def guarded(watched_factory: WatchedFactory, certificates: Certificates) -> Watched:
    """A server and a sentinel with TLS, and with passwords of their own."""
    return watched_factory(
        server={"password": "of the server", "tls": certificates},
        sentinel={
            "password": "of the sentinel",
            "tls": certificates,
            "config": (
                'sentinel auth-pass mymaster "of the server"',
                "tls-replication yes",
            ),
        },
    )


def options_for(certificates: Certificates, **changed: Any) -> dict[str, Any]:
    tls = {"ssl_ca_certs": str(certificates.ca), "ssl_cert_reqs": "required"}
    kwargs = {"password": "of the sentinel", "ssl": True, **tls, **changed}
    return {"password": "of the server", "ssl": tls, "sentinel_kwargs": kwargs}


def test_sentinels_and_servers_have_logins_and_tls_of_their_own(
    guarded: Watched, certificates: Certificates
) -> None:
    options = options_for(certificates)

    store = open_sentinel(guarded.url, options=options, deadline=5.0, prefix="celery-lock:")

    assert store.check() == []
    assert granted(store)
    store.close()

    for changed, sentence in (
        ({"password": "s3cret"}, "does not accept the password of sentinel_kwargs"),
        ({"password": None}, "wants a password"),
        ({"ssl_ca_certs": None}, "was not accepted"),
        ({"ssl": False}, "it broke the connection off"),
    ):
        options = options_for(certificates, **changed)
        store = open_sentinel(guarded.url, options=options, deadline=5.0, prefix="celery-lock:")
        with pytest.raises(StoreError, match=sentence) as raised:
            store.acquire(claim_of())
        assert "s3cret" not in str(raised.value)

    options = {**options_for(certificates), "password": "s3cret"}
    store = open_sentinel(guarded.url, options=options, deadline=5.0, prefix="celery-lock:")
    with pytest.raises(StoreError, match="does not know this password") as raised:
        store.acquire(claim_of())
    assert "s3cret" not in str(raised.value)


def test_a_password_that_a_sentinel_does_not_ask_for_is_not_repeated(watched: Watched) -> None:
    options = {"sentinel_kwargs": {"password": "s3cret"}}
    store = open_sentinel(watched.url, options=options, deadline=2.0, prefix="celery-lock:")

    with pytest.raises(StoreError, match="does not accept the password") as raised:
        store.acquire(claim_of())

    assert "s3cret" not in str(raised.value)


def test_a_user_with_the_least_permissions_can_lock(watched_factory: WatchedFactory) -> None:
    options = {"username": "shop", "password": "pw", "replicas": 0, "restart_guard": True}
    with closing(SentinelStore("sentinel://h/m", options=options)) as store:
        rule = store.permissions
    servers = watched_factory(server={"users": {"shop": f"on >pw {rule}"}})
    options["longest_ttl"] = 0.1

    with closing(SentinelStore(servers.url, options=options)) as store:
        wait_for(lambda: is_granted(store), "the end of the guard")

    assert "+role" in rule


def is_granted(store: SentinelStore) -> bool:
    try:
        return isinstance(store.acquire(claim_of(ttl=0.1)), Lease)
    except StoreUnavailable:
        return False


# -- one store used by many ------------------------------------------------------------------


def test_greenlets_go_on_while_sentinels_are_asked(watched: Watched) -> None:
    pytest.importorskip("gevent")

    said = run("sentinel_greenlets", f"{LOOPBACK}:{watched.sentinels[0].port}")

    assert said == "well\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_was_forked_in_the_midst_of_a_search_searches_itself(
    watched: Watched,
) -> None:
    """The lock that its parent's thread holds is not the child's."""
    with closing(SentinelStore(watched.url)) as store:
        assert granted(store)
        known = store._sentinels._own.value
        with known.asking:
            known.address = None

            assert holds_in_a_child(lambda: granted(store))


def test_stores_of_two_prefixes_and_databases_do_not_see_each_other(watched: Watched) -> None:
    others = [(watched.url, "a:"), (watched.url, "b:"), (f"{watched.url}/3", "a:")]
    with ExitStack() as stack:
        stores = [
            stack.enter_context(closing(SentinelStore(url, prefix=prefix)))
            for url, prefix in others
        ]

        assert [isinstance(store.acquire(claim_of("k")), Lease) for store in stores] == [True] * 3
