"""What a user reads when the server refuses: each with what to do, none with a password."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from celery_lock.contract import StoreContract
from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Completion, End, Held, Lease, Met, Outcome, Release
from celery_lock.stores.redis import RedisStore
from celery_lock.stores.redis.link.errors import PERMISSIONS
from tests.contract.conftest import OpenStore, claim_of
from tests.contract.fake_server import FakeServer, always
from tests.services.fixtures import RedisFactory
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.contract

LEAST = f"on >p resetchannels -@all ~contract:* ~contract-too:* {PERMISSIONS}"
SECRET = "s3cret"
NEEDED = [
    command
    for command in PERMISSIONS.split()
    if command not in ("+select", "+info", "+eval", "+scan") and not command.startswith("+z")
]
"""What a lock needs on every server. `+z...` is for records, `+eval` where a script is new, `+scan`
for whoever asks which keys there are, and the other two may be left out."""


@pytest.fixture(scope="module")
def guarded(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    users = {
        "least": LEAST,
        "uninformed": LEAST.replace("+info", "").replace("+select", ""),
        "scriptless": f"on >{SECRET} ~* +@all -eval -evalsha",
        "writeless": f"on >{SECRET} ~* +@all -hset",
        "elsewhere": f"on >{SECRET} ~other:* +@all",
        **{
            f"without{command}": " ".join(word for word in LEAST.split() if word != command)
            for command in NEEDED
        },
    }
    folder: Path = tmp_path_factory.mktemp("guarded")
    with RedisServer(redis_binary, folder, password="owner", users=users) as server:
        yield server


class TestTheLeastPermissions(StoreContract):
    """The whole contract as a user who may do what the page says and nothing else."""

    @pytest.fixture(autouse=True)
    def _server(self, guarded: RedisServer) -> None:
        self.url = guarded.url_for(2, user="least", password="p")

    def open_store(self, prefix: str) -> RedisStore:
        return RedisStore(self.url, prefix=prefix)


@pytest.mark.parametrize("where", ["url", "options"])
def test_a_client_name_is_among_the_rights(
    guarded: RedisServer, open_redis: OpenStore, where: str
) -> None:
    url = guarded.url_for(user="least", password="p")
    name = {"client_name": "shop"}
    store = (
        open_redis(f"{url}?client_name=shop", prefix="contract:")
        if where == "url"
        else open_redis(url, prefix="contract:", options=name)
    )
    words = store.permissions.split()
    with guarded.client() as client:
        client.execute_command("ACL", "SETUSER", "named", "on", ">p", "-@all", *words)

    with pytest.raises(StoreError, match=r"with a client_name \+client\|setname"):
        store.check()

    named = guarded.url_for(user="named", password="p")
    assert open_redis(named, prefix="contract:", options=name).check() == []


def test_what_the_server_does_not_tell_is_unknown_and_no_warning(
    guarded: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(guarded.url_for(user="uninformed", password="p"), prefix="contract:")

    assert store.check() == []


@contextmanager
def refusal(kind: type[StoreError] = StoreError) -> Iterator[list[str]]:
    """Expect an error of exactly this kind; its text is in the list afterwards."""
    said: list[str] = []
    with pytest.raises(StoreError) as raised:
        yield said
    assert type(raised.value) is kind, raised.value
    assert raised.value.__cause__ is not None
    said.append(str(raised.value))
    assert SECRET not in repr(raised.value)


# -- logins and permissions ------------------------------------------------------------------


def test_a_wrong_password_names_the_user_and_the_setting(
    guarded: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(guarded.url_for(user="least", password=SECRET))

    with refusal() as said:
        store.acquire(claim_of())

    assert "does not know this password (user 'least')" in said[0]
    assert "lock_store" in said[0]


def test_a_missing_password_is_said_so(guarded: RedisServer, open_redis: OpenStore) -> None:
    store = open_redis(f"redis://{guarded.host}:{guarded.port}/0")

    with refusal() as said:
        store.acquire(claim_of())

    assert "wants a password (user 'default')" in said[0]


def test_a_needless_password_is_said_so(redis_server: RedisServer, open_redis: OpenStore) -> None:
    store = open_redis(redis_server.url_for(password=SECRET))

    with refusal() as said:
        store.acquire(claim_of())

    assert "has no password, and the URL brings one" in said[0]


@pytest.mark.parametrize("user", ["scriptless", "writeless", "elsewhere"])
def test_a_missing_permission_lists_what_is_needed(
    guarded: RedisServer, open_redis: OpenStore, user: str
) -> None:
    store = open_redis(guarded.url_for(user=user, password=SECRET))

    with refusal() as said:
        store.acquire(claim_of())

    assert f"does not permit user '{user}' what a lock needs" in said[0]
    assert PERMISSIONS in said[0]
    assert "~<lock_key_prefix>*" in said[0]


@pytest.mark.parametrize("user", ["scriptless", "writeless", "elsewhere"])
def test_a_missing_permission_shows_at_the_check(
    guarded: RedisServer, open_redis: OpenStore, user: str
) -> None:
    with refusal() as said:
        open_redis(guarded.url_for(user=user, password=SECRET)).check()

    assert "does not permit" in said[0]


@pytest.mark.parametrize("command", NEEDED)
def test_each_permission_that_is_missing_shows_at_the_check(
    guarded: RedisServer, open_redis: OpenStore, command: str
) -> None:
    """A rule that was written for another release is found as a worker starts, not by its tasks."""
    url = guarded.url_for(user=f"without{command}", password="p")

    with refusal() as said:
        open_redis(url, prefix="contract:").check()

    assert PERMISSIONS in said[0]


def test_a_server_that_repeats_the_login_is_not_quoted(open_redis: OpenStore) -> None:
    echo = b"-ERR unknown command 'AUTH', with args beginning with: 's3cret'\r\n"
    with FakeServer(always(echo)) as server:
        store = open_redis(server.url.replace("redis://", f"redis://:{SECRET}@"))

        with pytest.raises(StoreError) as raised:
            store.check()

    assert "unknown command 'AUTH', with args beginning with: '***'" in str(raised.value)
    assert SECRET not in repr(raised.value.__cause__)
    assert raised.value.__cause__ is not None
    assert raised.value.__cause__.__cause__ is None


def test_a_database_that_the_server_does_not_have_is_said_so(
    guarded: RedisServer, open_redis: OpenStore
) -> None:
    with refusal() as said:
        open_redis(guarded.url_for(9999)).check()

    assert "DB index is out of range" in said[0]


# -- servers in a bad state ------------------------------------------------------------------


def test_a_full_server_takes_no_claims_but_renewals_and_releases(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url)
    claims = [claim_of(f"order:{n}") for n in range(3)]
    leases = [store.acquire(claim) for claim in claims]
    first, second, _ = leases
    assert isinstance(first, Lease)
    assert isinstance(second, Lease)
    with fresh_redis.client() as client:
        client.config_set("maxmemory", "1mb")

    with refusal(StoreUnavailable) as said:
        store.acquire(claim_of("order:new"))

    assert "its memory is full" in said[0]
    assert store.renew([(first, 60), (second, 60)]) == [Outcome.RENEWED, Outcome.RENEWED]
    assert store.release(first)
    assert store.release(first)
    assert isinstance(again := store.acquire(claims[1]), Lease)
    assert again.token == second.token
    store.undo(claims[2])
    assert store.peek("order:2") is None


def test_a_full_server_takes_the_end_of_a_run_and_its_completion(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url)
    claims = [
        claim_of(f"order:{n}", publication=f"p{n}", ttl=ttl) for n, ttl in enumerate((9, 0.1))
    ]
    copies = [replace(claim, holder=f"copy#n#1#{claim.key}", copy_since="") for claim in claims]
    leases = [store.acquire(claim) for claim in claims]
    ends = [End(publication=claim.publication, remember=100.0, if_met=True) for claim in claims]
    kept, lost = leases
    assert isinstance(kept, Lease)
    assert isinstance(lost, Lease)
    time.sleep(0.1)
    with fresh_redis.client() as client:
        client.config_set("maxmemory", "1mb")

    assert isinstance(seen := store.acquire(copies[0]), Held)
    assert seen.met is Met.PUBLICATION
    answers = [store.release(kept, ends[0]), store.release(lost, ends[1])]
    assert answers == [Release(True, True), Release(False, True)]
    store.complete([Completion(claim.key, claim.publication, 100.0) for claim in claims])
    store.complete([Completion("order:new", "p9", 100.0)])

    seen_later = [store.acquire(copy) for copy in copies]
    assert all(isinstance(got, Held) and got.done for got in seen_later)


@pytest.mark.parametrize(
    ("stale", "sentence"),
    [("yes", "it is a read-only replica"), ("no", "it is a replica that has lost its primary")],
)
def test_a_replica_is_refused(
    redis_factory: RedisFactory, open_redis: OpenStore, stale: str, sentence: str
) -> None:
    lonely = ["--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", stale]
    store = open_redis(redis_factory(args=lonely).url)

    with refusal(StoreUnavailable) as said:
        store.acquire(claim_of())
    with pytest.raises(StoreUnavailable, match="name the primary, or"):
        store.check()

    assert sentence in said[0]
    assert "name the primary, or" in said[0]


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (b"-LOADING Redis is loading", StoreUnavailable, "is loading its data"),
        (b"-BUSY Redis is busy", StoreUnavailable, "SCRIPT KILL"),
        (b"-MISCONF Redis is configured", StoreUnavailable, "cannot save its data to disk"),
        (b"-MASTERDOWN Link with MASTER", StoreUnavailable, "has lost its primary"),
        (b"-NOREPLICAS Not enough", StoreUnavailable, "min-replicas-to-write"),
        (b"-TRYAGAIN Multiple keys", StoreUnavailable, "moving keys"),
        (b"-ERR max number of clients reached", StoreUnavailable, "maxclients"),
        (
            b"-ERR Error running script (call to f_1): @user_script:4: -OOM command not allowed",
            StoreUnavailable,
            "its memory is full",
        ),
        (b"-CLUSTERDOWN Hash slot", StoreUnavailable, "its cluster is down"),
        (b"-MOVED 3999 127.0.0.1:6381", StoreError, "set lock_store to redis+cluster://"),
        (b"-WRONGTYPE Operation against", StoreError, "lock_key_prefix"),
        (b"-ERR unknown command 'EVALSHA'", StoreError, "as a Redis Sentinel does not"),
        (b"-ERR something else", StoreError, "refused: ERR something else"),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n", StoreError, "no Redis or Valkey"),
        (b"$-7x", StoreError, "no Redis or Valkey"),
        (b"$999999999999", StoreError, "no Redis or Valkey"),
        (b":1\r\n:2", StoreError, "no Redis or Valkey"),
    ],
    ids=lambda value: value.split()[0].decode() if isinstance(value, bytes) else None,
)
def test_a_refusal_is_told_in_a_sentence(
    open_redis: OpenStore, answer: bytes, kind: type[StoreError], sentence: str
) -> None:
    with FakeServer(always(answer + b"\r\n")) as server:
        store = open_redis(server.url)

        with refusal(kind) as said:
            store.acquire(claim_of())

    assert sentence in said[0]
    assert server.url in said[0]


def test_something_else_under_the_name_of_a_lock_is_said_so(
    redis_url: str, redis_server: RedisServer, open_redis: OpenStore
) -> None:
    with redis_server.client() as client:
        client.set("celery-lock:2:{order:7}", "x")
    store = open_redis(redis_url)
    other = store.acquire(claim_of("order:8"))
    assert isinstance(other, Lease)

    with refusal() as said:
        store.acquire(claim_of("order:7"))

    assert "keeps something else under the name of a lock" in said[0]
    # one such key must not cost the others of a batch their renewal
    outcomes = store.renew([(Lease("order:7", "h", 1), 30), (other, 30)])
    assert outcomes == [Outcome.LOST, Outcome.RENEWED]


# -- the check -------------------------------------------------------------------------------


def test_a_server_that_may_evict_is_warned_of(
    fresh_redis: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(fresh_redis.url)
    assert store.check() == []
    with fresh_redis.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert store.check() == []  # without a limit nothing is evicted
        client.config_set("maxmemory", "100mb")

    [warning] = store.check()

    assert "may evict a lock" in warning
    assert "allkeys-lru" in warning


def test_a_server_that_is_too_old_is_refused(open_redis: OpenStore) -> None:
    info = b"# Server\r\nredis_version:6.0.16\r\nrole:master\r\n"

    def talk(connection: socket.socket) -> None:
        while request := connection.recv(65536):
            pong = b"PING" in request
            connection.sendall(b"+PONG\r\n" if pong else b"$%d\r\n%b\r\n" % (len(info), info))

    with FakeServer(talk) as server:
        store = open_redis(server.url)

        with pytest.raises(StoreError, match=r"runs Redis 6\.0\.16: a lock needs Redis 6\.2"):
            store.check()


def test_a_store_names_the_least_rule_for_its_own_prefix(
    guarded: RedisServer, open_redis: OpenStore
) -> None:
    store = open_redis(guarded.url, prefix="contract:")

    assert store.permissions in LEAST.replace("~contract:* ~contract-too:* ", "") + " ~contract:*"


def test_the_check_leaves_no_key_taken(
    redis_url: str, redis_server: RedisServer, open_redis: OpenStore
) -> None:
    started = time.monotonic()

    open_redis(redis_url).check()

    assert time.monotonic() - started < 1.0
    with redis_server.client() as client:
        for name in client.scan_iter():
            assert 0 < client.pttl(name) <= 65_000  # a lease of 5 s, and the grace
