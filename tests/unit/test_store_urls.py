"""From settings to a store: which URL, which options, which error for what makes no sense."""

from __future__ import annotations

import builtins
import ssl
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

import pytest

from celery_lock.errors import LockConfigurationError
from celery_lock.model import Feature
from celery_lock.stores import choose_store, open_store, registry, stores_with
from celery_lock.stores.memory import MemoryStore
from celery_lock.stores.redacted import redacted
from celery_lock.stores.redis.link.address import Address
from celery_lock.stores.registry import factories

pytestmark = pytest.mark.unit

SECRET = "s3cret"


def refusal(call: Any, *args: Any, **keywords: Any) -> str:
    with pytest.raises(LockConfigurationError) as raised:
        call(*args, **keywords)
    assert SECRET not in repr(raised.value)
    return str(raised.value)


# -- schemes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["memory://", "redis://h", "rediss://h", "unix:///s", "redis+socket:///s", "REDIS://h"]
)
def test_built_in_schemes_are_known(url: str) -> None:
    assert "://" in open_store(url.lower()).url


def test_an_unknown_scheme_lists_the_known_ones() -> None:
    said = refusal(open_store, f"mongodb://{SECRET}@h")

    known = ", ".join(factories())
    assert known.startswith("memory, redis, rediss, unix, redis+socket, ")
    assert said == (
        f"no store knows 'mongodb://': known are {known};"
        " a package can add one under the entry-point group celery_lock.stores"
    )


def test_a_misspelt_scheme_is_guessed() -> None:
    assert "(did you mean 'rediss'?)" in refusal(open_store, "redisss://h")


def test_valkey_is_reached_by_the_scheme_of_redis() -> None:
    assert "(Valkey: redis://)" in refusal(open_store, "valkey://h")


def test_the_built_in_stores_are_entered_as_those_of_packages_are() -> None:
    entered = {one.name: one.value for one in entry_points(group=registry.GROUP)}
    built_in = tuple(registry._OWN)

    assert {name: factories()[name].value for name in built_in}.items() <= entered.items()


@pytest.mark.parametrize("feature", Feature)
def test_the_stores_that_have_a_feature_are_known(feature: Feature) -> None:
    assert {"memory://", "redis://", "rediss://", "unix://"} <= set(stores_with(feature))


def test_what_is_no_url_is_not_repeated() -> None:
    assert "lock_store is no URL" in refusal(open_store, SECRET)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@a;redis://:{SECRET}@b",
        f"redis://:{SECRET}@a,redis://:{SECRET}@b",
        f"redis://:{SECRET}@a, REDIS://:{SECRET}@b",
        f"redlock://:{SECRET}@a;redlock://b;redlock://c",
        "redlock://redis://a,redis://b,redis://c",
        "etcd://http://a:2379",
        "zookeeper://zookeeper://a:2181",
        "sentinel://redis://a:26379/mymaster",
    ],
)
def test_several_urls_are_no_store(url: str) -> None:
    said = refusal(open_store, url)

    assert "has to be one URL" in said
    assert "single Redis" in said
    assert "redlock://a:6379,b:6379,c:6379/0" in said


def test_the_query_of_a_url_may_name_another_url() -> None:
    assert "unknown option 'see'" in refusal(open_store, "redis://h?see=x,http://y")


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@a:6379,b:6379/0",
        f"rediss://:{SECRET}@a,b",
    ],
)
def test_several_servers_of_one_redis_are_refused_with_the_stores_that_have_several(
    url: str,
) -> None:
    said = refusal(open_store, url)

    assert "names several servers" in said
    assert "redis+cluster://host:6379,host:6379" in said
    assert "sentinel://host:26379,host:26379/mymaster" in said


@pytest.mark.parametrize("url", [f"redis://:{SECRET},x/y@h", f"redis://:{SECRET},x?y@h"])
def test_a_comma_in_a_password_that_cannot_be_read_is_no_list_of_servers(url: str) -> None:
    assert "Percent-encode the odd characters" in refusal(Address.parse, url)


def test_nodes_of_redlock_are_listed_with_commas() -> None:
    said = refusal(open_store, f"redlock://:{SECRET}@a:6379;b:6379;c:6379/0")

    assert "has a semicolon" in said
    assert "redlock://a:6379,b:6379,c:6379/0" in said


def test_listing_the_schemes_imports_no_driver() -> None:
    program = (
        "import sys; sys.modules['celery'] = None;"  # importing Celery may import anything
        "import importlib.util, types;"
        "package = types.ModuleType('celery_lock');"
        "package.__path__ = importlib.util.find_spec('celery_lock').submodule_search_locations;"
        "sys.modules['celery_lock'] = package;"
        "from celery_lock.stores.registry import factories, open_store;"
        "factories(); open_store('memory://');"
        "assert 'redis' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_missing_driver_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in list(sys.modules):
        if name.startswith("celery_lock.stores.redis"):
            monkeypatch.delitem(sys.modules, name)
    really = builtins.__import__

    def without_redis(name: str, *args: Any, **keywords: Any) -> Any:
        if name.partition(".")[0] == "redis" and not (len(args) > 3 and args[3]):
            raise ModuleNotFoundError("No module named 'redis'", name="redis")
        return really(name, *args, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_redis)

    assert 'pip install "celery-lock[redis]"' in refusal(open_store, "redis://h")


def enter(monkeypatch: pytest.MonkeyPatch, scheme: str, factory: Any) -> None:
    """Let a package be installed that enters a store."""
    entry = EntryPoint(scheme, "package:factory", registry.GROUP)
    really = EntryPoint.load
    monkeypatch.setattr(
        EntryPoint, "load", lambda self: factory if self.value == entry.value else really(self)
    )
    entries = {registry.GROUP: EntryPoints([entry])}
    monkeypatch.setattr(registry, "entry_points", lambda group: entries[group])


def test_another_package_can_add_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []

    def factory(url: str, **keywords: Any) -> MemoryStore:
        opened.append({"url": url, **keywords})
        return MemoryStore()

    enter(monkeypatch, "consul", factory)

    store = open_store("consul://h", options={"a": 1}, deadline=1.5, prefix="p:")

    assert isinstance(store, MemoryStore)
    assert opened == [{"url": "consul://h", "options": {"a": 1}, "deadline": 1.5, "prefix": "p:"}]
    assert "consul" in refusal(open_store, "mongodb://h")


def test_a_store_that_was_written_for_another_release_is_refused_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Older:
        """Knows nothing of `coarse`, `complete` and `undo`."""

        url, features = "consul://h", frozenset[Feature]()
        acquire = renew = release = free = watch = peek = check = close = None

    enter(monkeypatch, "consul", lambda url, **keywords: Older())

    said = refusal(open_store, "consul://h")

    assert said.startswith(
        "the store consul:// (package:factory) has no coarse, complete, undo, which this"
    )
    assert "update the package" in said


def test_a_package_does_not_take_the_place_of_a_built_in_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter(monkeypatch, "memory", lambda url, **keywords: pytest.fail("the package's was opened"))

    assert isinstance(open_store("memory://"), MemoryStore)
    assert factories()["memory"].value == "celery_lock.stores.memory:open_memory"


def test_memory_takes_no_options() -> None:
    assert "takes no options" in refusal(open_store, "memory://", options={"password": SECRET})


# -- addresses -------------------------------------------------------------------------------


def test_a_bare_url_means_this_machine() -> None:
    address = Address.parse("redis://")

    assert (address.host, address.port, address.db) == ("localhost", 6379, 0)
    assert (address.login, address.tls) == ((), None)
    assert address.shown == "redis://localhost:6379/0"


@pytest.mark.parametrize(
    ("url", "login"),
    [
        ("redis://:pw@h", ("pw",)),
        ("redis://al:pw@h", ("al", "pw")),
        ("redis://al:@h", ("al", "")),
        ("redis://a%3Al:p%3Aa%2Fs%40s%25w%23o%3Fr%C3%A9@h", ("a:l", "p:a/s@s%w#o?r\u00e9")),
        ("redis://h?password=pw", ("pw",)),
        ("redis://h?username=al&password=p%26w", ("al", "p&w")),
        ("unix://al:pw@/run/r.sock", ("al", "pw")),
        ("redis+socket://:pw@/run/r.sock", ("pw",)),
        ("redis://:@h", ()),
    ],
)
def test_a_login_is_read_and_never_shown(url: str, login: tuple[str, ...]) -> None:
    address = Address.parse(url)

    assert address.login == login
    assert "@" not in address.shown
    assert not login or not login[-1] or login[-1] not in repr(address)


@pytest.mark.parametrize(
    ("url", "db"),
    [
        ("redis://h/3", 3),
        ("redis://h/", 0),
        ("redis://h//3", 3),
        ("redis://h?db=3", 3),
        ("redis://h/1?db=3", 3),
        ("redis://h?virtual_host=3", 3),
        ("unix:///run/r.sock?db=3", 3),
        ("redis+socket:///run/r.sock?virtual_host=3", 3),
    ],
)
def test_a_database_is_read_in_every_spelling(url: str, db: int) -> None:
    assert Address.parse(url).db == db


def test_an_address_of_ipv6() -> None:
    address = Address.parse("redis://[::1]:7000/1")

    assert (address.host, address.port) == ("::1", 7000)
    assert address.shown == "redis://[::1]:7000/1"


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}/x@h",
        f"redis://:{SECRET}#x@h",
        f"redis://:{SECRET}[@h",
        f"redis://:?{SECRET}@h",
        f"redis://al:12?{SECRET}=x@h",
        "redis://h:x",
        "redis://h1;h2",
    ],
)
def test_a_url_that_cannot_be_read_says_how_to_write_it(url: str) -> None:
    assert "Percent-encode the odd characters" in refusal(Address.parse, url)


@pytest.mark.parametrize(
    "url",
    [
        f"redlock://:12?{SECRET}@a,b,c",
        f"redis+cluster://:12?{SECRET}@a,b",
        f"sentinel://:12/{SECRET}@a",
        f"etcd://al:12?{SECRET}@a,b",
        f"etcd://al:12/{SECRET}@a,b",
        f"etcd://al:12?{SECRET}%40a,b",
        f"zookeeper://al:12?{SECRET}@a,b",
    ],
)
def test_a_password_that_is_taken_for_something_else_is_not_repeated(url: str) -> None:
    assert "Percent-encode the odd characters" in refusal(open_store, url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sentinel://{login}a,{login}b:7/main", "sentinel://a:26379,b:7/main"),
        ("redis+cluster://{login}a,{login}b:7", "redis+cluster://a:6379,b:7"),
        ("redlock://{login}a,{login}b:7", "redlock://a:6379,b:7/0"),
        ("etcd://{login}a,{login}b:7", "etcd://a:2379,b:7"),
        ("zookeeper://{login}a,{login}b:7/x/", "zookeeper://a,b:7/x"),
    ],
)
def test_no_server_is_forgotten_where_each_has_the_login(url: str, shown: str) -> None:
    assert open_store(url.format(login=f"al:{SECRET}@")).url == shown


@pytest.mark.parametrize("scheme", ["rediss", "etcds", "zookeeper"])
def test_an_encoded_at_sign_in_an_option_is_no_end_of_a_password(scheme: str) -> None:
    url = f"{scheme}://a?ssl_certfile=/run/cert.pem&ssl_password=s%40cret"

    assert open_store(url).url.startswith(f"{scheme}://a")


@pytest.mark.parametrize("scheme", ["sentinel", "redis+cluster", "etcd", "zookeeper"])
@pytest.mark.parametrize("servers", ["a,,b", "a, ", ",al:{}@b", "al:{}@,b", "al:{0}@a,al:{0}@"])
def test_a_server_that_is_missing_in_a_list_is_not_this_machine(scheme: str, servers: str) -> None:
    path = "/main" if scheme == "sentinel" else ""

    said = refusal(open_store, f"{scheme}://{servers.format(SECRET)}{path}")

    assert "cannot be read" in said


@pytest.mark.parametrize("scheme", ["sentinel", "redis+cluster", "etcd", "zookeeper"])
def test_servers_with_different_logins_are_refused(scheme: str) -> None:
    said = refusal(open_store, f"{scheme}://al:{SECRET}@a,bo:{SECRET}@b/main")

    assert "with one login for all" in said


@pytest.mark.parametrize("scheme", ["sentinel", "redis+cluster", "etcd", "zookeeper"])
@pytest.mark.parametrize("servers", ["a,al:{}@b", "a:1,al:{}@b", "a,b:1,:{}@c", "[::1]:1,al:{}@b"])
def test_no_server_before_the_login_is_taken_for_a_user(scheme: str, servers: str) -> None:
    path = "/main" if scheme == "sentinel" else ""

    said = refusal(open_store, f"{scheme}://{servers.format(SECRET)}{path}")

    assert "with one login for all, before the first of them" in said


@pytest.mark.parametrize("password", ["a,b", "1,2", ",1", "a,b:c"])
def test_a_comma_in_a_password_is_no_end_of_a_server(password: str) -> None:
    store = open_store(f"redis+cluster://:{password}@a,b")

    assert store.url == "redis+cluster://a:6379,b:6379"


def test_a_url_from_a_file_may_end_in_a_line_break() -> None:
    assert open_store(" redis://:pw@h/3 \n").url == "redis://h:6379/3"


def test_a_password_in_the_place_of_the_user_is_not_repeated() -> None:
    said = refusal(Address.parse, f"redis://{SECRET}@h")

    assert "has a user and no password" in said
    assert "redis://:password@host" in said


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://h/locks", "is no number"),
        ("redis://h?pasword=x", "(did you mean 'password'?)"),
        ("redis://h?colour=red", "unknown option 'colour'; it may have username"),
        ("unix://", "has no path"),
        ("unix:///s?ssl_cert_reqs=none", "has no TLS"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs='maybe' is not known"),
        ("rediss://h?ssl_check_hostname=maybe", "write true or false"),
        ("rediss://h?ssl_min_version=x", "ssl.TLSVersion"),
        ("redis://h?credential_provider=no.such.Thing", "cannot be imported"),
    ],
)
def test_what_makes_no_sense_in_a_url_is_refused(url: str, sentence: str) -> None:
    assert sentence in refusal(Address.parse, url)


def test_what_celery_says_in_a_shared_url_is_let_pass() -> None:
    url = "redis://h/0?socket_timeout=5&health_check_interval=30&max_connections=4&protocol=3"

    assert Address.parse(url) == Address.parse("redis://h/0")


def test_unknown_options_are_refused() -> None:
    said = refusal(Address.parse, "redis://h", {"pasword": SECRET})

    assert said.startswith("lock_store_options has no 'pasword' for Redis (did you mean 'password'")
    assert "ssl_cert_reqs" in refusal(Address.parse, "redis://h", {"ssl": {"cert_reqs": 1}})
    assert "get_credentials" in refusal(Address.parse, "redis://h", {"credential_provider": 7})


def test_the_url_says_it_louder_than_the_options() -> None:
    options = {
        "username": "bo",
        "password": "opt",
        "ssl": {"ssl_ca_certs": "/o", "ssl_ciphers": "x"},
    }

    address = Address.parse("rediss://al:url@h?ssl_ca_certs=/u", options)

    assert address.login == ("al", "url")
    assert address.tls is not None
    assert address.tls["ssl_ca_certs"] == "/u"
    assert address.tls["ssl_ciphers"] == "x"


def test_tls_verifies_unless_somebody_says_no() -> None:
    verified = Address.parse("rediss://h").tls
    unverified = Address.parse("rediss://h?ssl_cert_reqs=CERT_NONE").tls

    assert verified == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    assert unverified == {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}
    assert Address.parse("redis://h", {"ssl": True}).tls == verified
    assert Address.parse("redis://h", {"ssl": True}).shown.startswith("rediss://")


@pytest.mark.parametrize(("said", "meant"), [("true", True), ("False", False), (0, False)])
def test_tls_may_be_said_in_a_word(said: Any, meant: bool) -> None:
    assert (Address.parse("redis://h", {"ssl": said}).tls is not None) is meant


@pytest.mark.parametrize("said", ["required", ssl.CERT_REQUIRED, ["/ca.pem"]])
def test_what_says_neither_yes_nor_no_to_tls_is_refused(said: Any) -> None:
    sentence = refusal(Address.parse, "redis://h", {"ssl": said})

    assert sentence.endswith("is not known; write True, False, or a dictionary of the ssl options")


@pytest.mark.parametrize("server", ["rediss://h", "sentinel://h/x", "etcds://h", "zookeeper://h"])
def test_a_key_without_its_certificate_is_refused(server: str) -> None:
    sentence = refusal(open_store, f"{server}?ssl_keyfile=/run/key.pem")

    assert "write ssl_certfile too" in sentence


@pytest.mark.parametrize("options", [{"password": 4711}, {"username": 12, "password": 4711}])
def test_a_password_of_digits_may_be_a_number(options: dict[str, Any]) -> None:
    store: Any = open_store("redis://h", options=options)

    assert store._server._directory.find(0).login == tuple(map(str, options.values()))


@pytest.mark.parametrize("value", [[SECRET], True, SECRET.encode()])
@pytest.mark.parametrize("place", ["the options of the lock store", "sentinel_kwargs"])
def test_a_password_that_is_no_text_is_refused_and_not_shown(value: Any, place: str) -> None:
    options = {"password": value}
    if place == "sentinel_kwargs":
        options = {"sentinel_kwargs": options}

    said = refusal(open_store, "sentinel://h/mymaster", options=options)

    assert said.startswith(f"password in {place} is of type {type(value).__name__} (not shown")


def test_a_prefix_with_braces_is_refused() -> None:
    assert "must have no braces" in refusal(open_store, "redis://h", prefix="{a}:")


# -- the store that nobody named -------------------------------------------------------------

REDIS = "redis://:s3cret@broker/1"


def test_a_store_that_is_named_stands_for_itself() -> None:
    conf = {"broker_url": REDIS, "broker_use_ssl": {"ssl_cert_reqs": "none"}}

    assert choose_store(conf, "redis://locks/3") == ("redis://locks/3", {})


def test_the_broker_is_the_store_if_it_is_redis() -> None:
    conf = {"broker_url": REDIS, "result_backend": "redis://results"}

    assert choose_store(conf) == (REDIS, {})


def test_the_result_backend_is_the_store_if_the_broker_is_no_redis() -> None:
    conf = {"broker_url": "amqp://guest@rabbit", "result_backend": "redis://results"}

    assert choose_store(conf) == ("redis://results", {})
    assert choose_store({**conf, "broker_url": "amqp://a;amqp://b"}) == ("redis://results", {})
    assert choose_store({**conf, "broker_url": None}) == ("redis://results", {})


def test_a_result_backend_by_name_alone_has_its_own_settings() -> None:
    conf = {"result_backend": "redis", "redis_host": "h", "redis_port": 7, "redis_db": 2}

    assert choose_store(conf) == ("redis://h:7/2", {})


def test_the_write_url_of_the_broker_comes_first() -> None:
    conf = {"broker_url": "redis://reads", "broker_write_url": "redis://writes"}

    assert choose_store(conf)[0] == "redis://writes"


def test_celerys_own_attributes_are_asked_first() -> None:
    class Conf(dict[str, Any]):
        broker_url = "redis://from-the-environment"

    assert choose_store(Conf(broker_url="amqp://"))[0] == "redis://from-the-environment"


def test_the_brokers_tls_and_login_come_along() -> None:
    provider = object()
    conf = {
        "broker_url": REDIS,
        "broker_use_ssl": {"ssl_ca_certs": "/ca"},
        "broker_transport_options": {
            "client_name": "shop",
            "credential_provider": provider,
            "global_keyprefix": "shop:",
            "socket_timeout": 60,
            "visibility_timeout": 3600,
        },
    }

    assert choose_store(conf) == (
        REDIS,
        {
            "client_name": "shop",
            "credential_provider": provider,
            "ssl": {"ssl_ca_certs": "/ca"},
        },
    )


def test_the_result_backends_tls_and_login_come_along() -> None:
    conf = {
        "result_backend": "rediss://results",
        "redis_username": "al",
        "redis_password": "pw",
        "redis_backend_use_ssl": {"ssl_ca_certs": "/ca"},
        "broker_use_ssl": {"ssl_ca_certs": "/the/brokers"},
    }

    assert choose_store(conf) == (
        "rediss://results",
        {"username": "al", "password": "pw", "ssl": {"ssl_ca_certs": "/ca"}},
    )


@pytest.mark.parametrize(
    "broker", ["redis://:s3cret@a;redis://:s3cret@b", ["redis://:s3cret@a", "redis://:s3cret@b"]]
)
def test_a_broker_of_several_servers_asks_for_lock_store(broker: object) -> None:
    said = refusal(choose_store, {"broker_url": broker, "result_backend": "redis://results"})

    assert "the broker URL lists several servers (redis://a, redis://b)" in said
    assert "set lock_store" in said


@pytest.mark.parametrize(
    ("conf", "found"),
    [
        ({}, "neither the broker (none) nor the result backend (none)"),
        (
            {"broker_url": f"amqp://guest:{SECRET}@rabbit//", "result_backend": "rpc://"},
            "neither the broker (amqp://rabbit//) nor the result backend (rpc://)",
        ),
        (
            {"broker_url": f"sentinel://:{SECRET}@a;redis://b", "result_backend": "django-db"},
            "the broker URL lists several servers (sentinel://a, redis://b)",
        ),
        ({"result_backend": "redis://a;redis://b"}, "the result backend (redis://a, redis://b)"),
        ({"result_backend": "django-db"}, "nor the result backend (django-db)"),
        ({}, "set lock_store, for example to 'redis://localhost:6379/0', or to 'memory://'"),
        (
            {"broker_url": "memory://", "result_backend": "cache+memory://"},
            "the fixture celery_config has to return {'lock_store': 'memory://'}",
        ),
    ],
)
def test_without_any_redis_the_error_says_what_was_found(conf: dict[str, Any], found: str) -> None:
    said = refusal(choose_store, conf)

    assert found in said
    assert "set lock_store" in said


def test_the_setting_is_named_as_the_app_writes_it() -> None:
    class Conf(dict[str, Any]):
        prefix = "CELERY_"

    assert "set CELERY_LOCK_STORE, for example" in refusal(choose_store, Conf())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://al:s3cret@h:1/2?password=s3cret", "redis://h:1/2"),
        ("redis://:s3/cr@et#x@h/2", "redis://h/2"),
        ("redis://h?password=s3@cret", "redis://..."),
        ("redis://:s3?cret@h", "redis://..."),
        ("rpc", "'rpc'"),
        ("s3cret@h", "a text that is no URL"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redacted(url) == shown
