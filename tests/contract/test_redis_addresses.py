"""Every way to reach a server: TLS, socket files, users, databases, Celery's own spellings."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Lease
from celery_lock.stores import choose_store, open_store
from tests.contract.conftest import OpenStore, claim_of
from tests.services.certificates import Certificates, make_certificates
from tests.services.fixtures import RedisFactory
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.contract

ODD = "p:a/s@s%w#o?r d\u00e9&=+\u4e2d"


@pytest.fixture(scope="module")
def secure(
    redis_binary: str, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    folder = tmp_path_factory.mktemp("tls")
    with RedisServer(redis_binary, folder, tls=certificates, password=ODD) as server:
        yield server


def bare(server: RedisServer, host: str = "127.0.0.1") -> str:
    """The server's URL with its password, and nothing about certificates."""
    return server.url.partition("?")[0].replace("127.0.0.1", host)


# -- TLS -------------------------------------------------------------------------------------


def test_tls_with_the_authority_named_in_the_url(
    secure: RedisServer, certificates: Certificates, open_redis: OpenStore
) -> None:
    store = open_redis(f"{bare(secure)}?ssl_ca_certs={certificates.ca}")

    lease = store.acquire(claim_of())

    assert isinstance(lease, Lease)
    assert store.release(lease)
    assert store.check() == []
    assert store.url == f"rediss://127.0.0.1:{secure.port}/0"


def test_an_unknown_authority_is_refused_by_default(
    secure: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(bare(secure))

    with pytest.raises(StoreError, match="was not accepted") as raised:
        store.acquire(claim_of())

    assert not isinstance(raised.value, StoreUnavailable)
    assert "ssl_ca_certs" in str(raised.value)


def test_a_certificate_for_another_name_is_refused(
    redis_factory: RedisFactory, tmp_path: Path, open_redis: OpenStore
) -> None:
    nameless = make_certificates(tmp_path / "nameless", "127.0.0.1")
    server = redis_factory(tls=nameless)
    store = open_redis(f"{bare(server, 'localhost')}?ssl_ca_certs={nameless.ca}")

    with pytest.raises(StoreError, match=r"was not accepted .*'localhost'"):
        store.acquire(claim_of())


def test_a_certificate_that_nobody_verifies_is_warned_of(
    secure: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(f"{bare(secure)}?ssl_cert_reqs=none")

    [warning] = store.check()

    assert "is not verified" in warning


@pytest.mark.parametrize("reqs", [ssl.CERT_REQUIRED, "CERT_REQUIRED", "required"])
def test_tls_as_celery_configures_its_broker(
    secure: RedisServer, certificates: Certificates, reqs: object
) -> None:
    conf = {
        "broker_url": bare(secure).replace("rediss://", "redis://"),
        "broker_use_ssl": {"ssl_cert_reqs": reqs, "ssl_ca_certs": str(certificates.ca)},
    }

    url, options = choose_store(conf)
    store = open_store(url, options=options)

    assert isinstance(store.acquire(claim_of()), Lease)
    assert store.url.startswith("rediss://")
    store.close()


def test_a_client_certificate_is_shown(
    redis_factory: RedisFactory, certificates: Certificates, open_redis: OpenStore
) -> None:
    server = redis_factory(tls=certificates, tls_clients=True)

    assert open_redis(server.url).check() == []
    without = open_redis(f"{bare(server)}?ssl_ca_certs={certificates.ca}")
    # the server says why and hangs up at once: what arrives first is up to the two kernels
    with pytest.raises(StoreError, match=r"client certificate|the connection broke"):
        without.check()


def test_a_missing_file_of_tls_is_said_so(secure: RedisServer, open_redis: OpenStore) -> None:
    store = open_redis(f"{bare(secure)}?ssl_ca_certs=/nowhere/ca.pem")

    with pytest.raises(StoreError, match="a file that the ssl options name is not there"):
        store.check()


def test_a_certificate_of_another_name_is_said_to_be_one(
    redis_factory: RedisFactory, tmp_path: Path, open_redis: OpenStore
) -> None:
    server = redis_factory(tls=make_certificates(tmp_path, "127.0.0.1"))

    with pytest.raises(StoreError, match="has to name the host that is connected to") as raised:
        open_redis(server.url.replace("127.0.0.1", "localhost", 1)).check()

    assert not isinstance(raised.value, StoreUnavailable)
    assert "ssl_ca_certs" not in str(raised.value)


def test_tls_to_a_plain_port_is_said_so(redis_server: RedisServer, open_redis: OpenStore) -> None:
    store = open_redis(redis_server.url.replace("redis://", "rediss://"), deadline=0.5)

    with pytest.raises(StoreUnavailable, match=r"no TLS handshake .* is that a TLS port"):
        store.check()


def test_a_connection_over_tls_is_replaced_when_it_dies(
    secure: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(secure.url)
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)

    with secure.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)

    assert store.release(lease)


def test_large_batches_go_through_tls(secure: RedisServer, open_redis: OpenStore) -> None:
    store = open_redis(secure.url)
    leases = [store.acquire(claim_of(f"{n:04}" + "x" * 1020)) for n in range(100)]

    outcomes = store.renew([(lease, 30.0) for lease in leases if isinstance(lease, Lease)])

    assert len(outcomes) == 100
    assert {outcome.value for outcome in outcomes} == {"renewed"}


# -- socket files, users, databases ----------------------------------------------------------


@pytest.mark.parametrize(
    "spelling", ["unix://{}?db=3", "redis+socket://{}?virtual_host=3", "redis+socket://{}?db=3"]
)
def test_a_socket_file(fresh_redis: RedisServer, open_redis: OpenStore, spelling: str) -> None:
    store = open_redis(spelling.format(fresh_redis.socket_path))

    lease = store.acquire(claim_of("order:7"))

    assert isinstance(lease, Lease)
    assert open_redis(fresh_redis.url_for(3)).peek("order:7") is not None
    assert open_redis(fresh_redis.url_for(0)).peek("order:7") is None
    assert store.url == f"unix://{fresh_redis.socket_path}?db=3"


def test_a_socket_file_that_is_not_there_is_said_so(open_redis: OpenStore) -> None:
    with pytest.raises(StoreUnavailable, match="there is no such socket file"):
        open_redis("unix:///nowhere/redis.sock").check()


def test_a_password_may_have_any_character(
    redis_factory: RedisFactory, open_redis: OpenStore
) -> None:
    server = redis_factory(password=ODD, unix_socket=True)

    assert open_redis(server.url).check() == []
    assert open_redis(server.unix_url).check() == []
    plain = f"redis://127.0.0.1:{server.port}/0"
    assert open_redis(plain, options={"password": ODD}).check() == []


def test_a_credential_provider_is_asked_for_each_connection(
    redis_factory: RedisFactory, open_redis: OpenStore
) -> None:
    class Provider:
        asked = 0

        def get_credentials(self) -> tuple[str, str]:
            self.asked += 1
            return "default", ODD

    server, provider = redis_factory(password=ODD), Provider()
    url = f"redis://127.0.0.1:{server.port}/0"
    store = open_redis(url, options={"credential_provider": provider})

    store.check()
    store.close()
    store.check()

    assert provider.asked == 2


def test_a_credential_provider_that_fails_makes_the_store_unavailable(
    redis_url: str, open_redis: OpenStore
) -> None:
    class Broken:
        def get_credentials(self) -> tuple[str]:
            raise RuntimeError("the token abc123 has expired")

    store = open_redis(redis_url, options={"credential_provider": Broken()})

    with pytest.raises(StoreUnavailable, match="credential provider failed") as raised:
        store.check()

    assert "abc123" not in str(raised.value)


def test_the_client_name_is_seen_by_the_server(
    redis_url: str, redis_server: RedisServer, open_redis: OpenStore
) -> None:
    open_redis(redis_url + "?client_name=locks").check()

    with redis_server.client() as client:
        assert "locks" in {one["name"] for one in client.client_list()}
