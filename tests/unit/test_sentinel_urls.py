"""Which sentinels are asked for which service, and how: from a URL, from options, from Celery."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from celery_lock.errors import LockConfigurationError
from celery_lock.stores import choose_store, open_store
from celery_lock.stores.redis.link.sentinel_url import SentinelUrl

pytestmark = pytest.mark.unit

SECRET = "s3cret"


def parsed(url: str, **options: Any) -> SentinelUrl:
    return SentinelUrl.parse(url, options)


def refusal(url: str, **options: Any) -> str:
    with pytest.raises(LockConfigurationError) as raised:
        parsed(url, **options)
    assert SECRET not in repr(raised.value)
    return str(raised.value)


def places(url: SentinelUrl) -> list[tuple[str, int]]:
    return [(one.host, one.port) for one in url.sentinels]


# -- servers and service ---------------------------------------------------------------------


def test_all_sentinels_and_the_service_are_in_one_url() -> None:
    url = parsed("sentinel://h1:7001,h2,[::1]:7003/mymaster")

    assert places(url) == [("h1", 7001), ("h2", 26379), ("::1", 7003)]
    assert (url.service, url.server.db) == ("mymaster", 0)
    assert url.shown == "sentinel://h1:7001,h2:26379,[::1]:7003/mymaster"


@pytest.mark.parametrize(
    "url",
    ["sentinel://h/mymaster/3", "sentinel://h/mymaster?db=3", "sentinel://h/mymaster/1?db=3"],
)
def test_the_database_stands_behind_the_service(url: str) -> None:
    assert parsed(url).server.db == 3
    assert parsed(url).shown == "sentinel://h:26379/mymaster/3"


@pytest.mark.parametrize(
    "written",
    [
        "sentinel://h1:7001/3;sentinel://h2:7002/3",
        "sentinel://h1:7001/3;sentinel://h2:7002",
        "sentinel://h1:7001/3;h2:7002",
        "sentinel://h1:7001,h2:7002/3",
        "sentinel://h1:7001,h2:7002?db=3",
        "sentinel://h1:7001;sentinel://h2:7002?virtual_host=3",
    ],
)
def test_celerys_own_form_is_read(written: str) -> None:
    url = parsed(written, master_name="mymaster")

    assert places(url) == [("h1", 7001), ("h2", 7002)]
    assert (url.service, url.server.db) == ("mymaster", 3)


def test_the_same_sentinel_is_asked_once() -> None:
    assert places(parsed("sentinel://h,h:26379/m")) == [("h", 26379)]


@pytest.mark.parametrize("url", ["sentinel://h", "sentinel://h/", "sentinel://h/0"])
def test_without_a_service_the_error_says_where_it_is_written(url: str) -> None:
    said = refusal(url)

    assert "sentinel://host:26379,host:26379/mymaster" in said
    assert "master_name" in said


def test_two_services_are_one_too_many() -> None:
    said = refusal("sentinel://h/one", master_name="two")

    assert "'one'" in said
    assert "'two'" in said


@pytest.mark.parametrize(
    "url",
    [
        f"sentinel://:{SECRET}/x@h/m",
        f"sentinel://:{SECRET}#x@h/m",
        f"sentinel://h,:{SECRET}@k:x/m",
        "sentinel://h:x/m",
    ],
)
def test_a_url_that_cannot_be_read_says_how_to_write_it(url: str) -> None:
    assert "ercent-" in refusal(url)


# -- logins and TLS --------------------------------------------------------------------------


def test_the_login_in_the_url_is_the_servers() -> None:
    url = parsed(f"sentinel://al:{SECRET}@h1,h2/m")

    assert url.server.login == ("al", SECRET)
    assert [one.login for one in url.sentinels] == [(), ()]
    assert SECRET not in f"{url!r} {url.shown}"


def test_sentinels_have_a_login_and_tls_of_their_own() -> None:
    kwargs = {"username": "watch", "password": SECRET, "ssl": True, "ssl_ca_certs": "/ca"}

    url = parsed("sentinel://h/m", sentinel_kwargs={**kwargs, "socket_timeout": 0.1})

    assert url.sentinels[0].login == ("watch", SECRET)
    assert url.sentinels[0].tls is not None
    assert url.sentinels[0].tls["ssl_ca_certs"] == "/ca"
    assert url.server.login == ()
    assert url.server.tls is None


@pytest.mark.parametrize(
    "written", [{"ssl": {"ssl_cert_reqs": "none"}}, {"ssl_cert_reqs": ssl.CERT_NONE}]
)
def test_tls_of_sentinels_is_read_in_every_spelling(written: dict[str, Any]) -> None:
    tls = parsed("sentinel://h/m", sentinel_kwargs=written).sentinels[0].tls

    assert tls == {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}


def test_a_url_may_say_all_of_it() -> None:
    url = parsed(
        "sentinel://h?master_name=m&password=pw&ssl_ca_certs=/a&sentinel_password=p2"
        "&sentinel_ssl_ca_certs=/b&min_other_sentinels=1"
    )

    assert (url.service, url.others) == ("m", 1)
    assert url.server.login == ("pw",)
    assert url.server.tls is not None
    assert url.server.tls["ssl_ca_certs"] == "/a"
    assert url.sentinels[0].login == ("p2",)
    assert url.sentinels[0].tls is not None
    assert url.sentinels[0].tls["ssl_ca_certs"] == "/b"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"master_nam": "m"}, "has no 'master_nam' for Sentinel (did you mean 'master_name'?)"),
        ({"sentinel_kwargs": {"pasword": SECRET}}, "'pasword' (did you mean 'password'?)"),
        ({"sentinel_kwargs": SECRET}, "sentinel_kwargs is of type str"),
        ({"sentinel_kwargs": {"ssl_validate_ocsp": True}}, "for the servers alone"),
        ({"sentinel_kwargs": {"username": "al"}}, "no password"),
        ({"min_other_sentinels": "two"}, "min_other_sentinels='two' is no number"),
        ({"ssl": {"ssl_ca_cert": "/ca"}}, "did you mean 'ssl_ca_certs'?"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal("sentinel://h/m", **options)


# -- the store that nobody named -------------------------------------------------------------


def test_celerys_broker_behind_sentinels_is_the_store() -> None:
    conf = {
        "broker_url": f"sentinel://:{SECRET}@h1:7001/1;sentinel://:{SECRET}@h2:7002/1",
        "broker_use_ssl": {"ssl_ca_certs": "/ca"},
        "broker_transport_options": {
            "master_name": "mymaster",
            "sentinel_kwargs": {"password": "other"},
            "min_other_sentinels": 1,
            "visibility_timeout": 3600,
        },
        "result_backend": "redis://results",
    }

    url, options = choose_store(conf)

    found = SentinelUrl.parse(url, options)
    assert found.shown == "sentinel://h1:7001,h2:7002/mymaster/1"
    assert found.server.login == (SECRET,)
    assert found.server.tls is not None
    assert found.sentinels[1].login == ("other",)
    assert found.others == 1
    assert open_store(url, options=options).url == found.shown


@pytest.mark.parametrize(
    "written",
    [
        "sentinel://h1:7001/1;sentinel://h2:7002/1",
        ["sentinel://h1:7001/1", "sentinel://h2:7002/1"],
        ["sentinel://h1:7001/1;sentinel://h2:7002/1"],
    ],
)
def test_celerys_result_backend_behind_sentinels_is_the_store(written: object) -> None:
    conf = {
        "broker_url": "amqp://guest@rabbit",
        "result_backend": written,
        "redis_password": SECRET,
        "redis_backend_use_ssl": {"ssl_ca_certs": "/ca"},
        "result_backend_transport_options": {"master_name": "mymaster"},
    }

    url, options = choose_store(conf)

    found = SentinelUrl.parse(url, options)
    assert found.shown == "sentinel://h1:7001,h2:7002/mymaster/1"
    assert found.server.login == (SECRET,)
    assert found.server.tls is not None


@pytest.mark.parametrize("other", ["redis://h", "amqp://h"])
def test_sentinels_beside_another_broker_ask_for_lock_store(other: str) -> None:
    conf = {"broker_url": f"sentinel://h1;{other}", "result_backend": "redis://results"}

    with pytest.raises(LockConfigurationError, match="lists several servers"):
        choose_store(conf)


def test_options_of_sentinels_are_of_no_use_to_one_redis() -> None:
    conf = {"broker_url": "redis://h", "broker_transport_options": {"master_name": "mymaster"}}

    assert choose_store(conf) == ("redis://h", {})


def test_lock_store_may_be_written_in_celerys_form() -> None:
    store = open_store("sentinel://a;sentinel://b", options={"master_name": "m"})

    assert store.url == "sentinel://a:26379,b:26379/m"


def test_sentinels_of_two_kinds_of_url_are_no_store() -> None:
    with pytest.raises(LockConfigurationError, match="has to be one URL"):
        open_store("sentinel://a;redis://b", options={"master_name": "m"})
