"""What a URL of ZooKeeper may say, and what is answered to one that makes no sense."""

from __future__ import annotations

from typing import Any

import pytest

from celery_lock.errors import LockConfigurationError
from celery_lock.stores import open_store
from celery_lock.stores.zookeeper.address import Address

pytestmark = pytest.mark.unit


def refusal(url: str, **options: Any) -> str:
    with pytest.raises(LockConfigurationError) as raised:
        open_store(url, options=options)
    return str(raised.value)


def test_several_hosts_with_ports_and_a_path() -> None:
    address = Address.parse("zookeeper://a:1,b,[::1]:3/shop/locks")

    assert address.hosts == (("a", 1), ("b", 2181), ("::1", 3))
    assert address.chroot == "/shop/locks"
    assert address.shown == "zookeeper://a:1,b,[::1]:3/shop/locks"


@pytest.mark.parametrize("url", ["zookeeper://", "zookeeper:///", "zookeeper://localhost:2181/"])
def test_what_is_left_out_is_as_usual(url: str) -> None:
    address = Address.parse(url)

    assert (address.hosts, address.chroot) == ((("localhost", 2181),), "")
    assert address.tls is None


@pytest.mark.parametrize("path", ["/a%40b", "/a%3Fb/c", "/%23"])
def test_an_odd_path_is_shown_as_it_is_written(path: str) -> None:
    assert (
        open_store(f"zookeeper://u:pw@h{path}/?ssl_ca_certs=/ca.pem").url == f"zookeeper://h{path}"
    )


def test_a_login_is_read_from_the_url_or_the_options() -> None:
    by_url = Address.parse("zookeeper://alice:p%40ss%2F@h/x")
    by_options = Address.parse("zookeeper://h/x", {"username": "alice", "password": "p@ss/"})

    assert by_url.login == by_options.login == "alice:p@ss/"
    for one in (by_url, by_options):
        assert "p@ss" not in repr(one)
        assert one.shown == "zookeeper://h/x"


def test_tls_is_asked_for_in_the_url_or_the_options() -> None:
    by_url = Address.parse("zookeeper://h?ssl_ca_certs=/ca.pem&ssl_check_hostname=false")
    by_options = Address.parse("zookeeper://h", {"ssl": {"ssl_cert_reqs": "none"}})
    plainly = Address.parse("zookeeper://h", {"ssl": True})

    assert by_url.tls == {"ca": "/ca.pem", "verify_certs": True, "check_hostname": False}
    assert by_options.tls == {"verify_certs": False, "check_hostname": False}
    assert plainly.tls == {"verify_certs": True, "check_hostname": True}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("zookeeper://h:99999", "cannot be read"),
        ("zookeeper://h:port", "cannot be read"),
        ("zookeeper://a b", "cannot be read"),
        ("zookeeper://u:s3cret/x@h", "cannot be read"),
        ("zookeeper://u:s3cret#x@h", "cannot be read"),
        ("zookeeper://u:s3cret?x@h", "cannot be read"),
        ("zookeeper://:s3cret@h", "a password and no user"),
        ("zookeeper://u@h", "a user and no password"),
        ("zookeeper://u%3Av:s3cret@h", "no ':' in its name"),
        ("zookeeper://h/a//b", "no path of ZooKeeper"),
        ("zookeeper://h/../b", "no path of ZooKeeper"),
        ("zookeeper://h/a%00b", "no path of ZooKeeper"),
        ("zookeeper://h?ssl_ca_cert=x", "did you mean 'ssl_ca_certs'?"),
        ("zookeeper://h?ssl_cert_reqs=optional", "write required or none"),
        ("zookeeper://h?ssl_check_hostname=perhaps", "write true or false"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_and_its_password_not_shown(
    url: str, said: str
) -> None:
    message = refusal(url)

    assert said in message
    assert "s3cret" not in message


def test_an_unknown_option_is_refused_with_those_that_there_are() -> None:
    message = refusal("zookeeper://h", pasword="x")

    assert "did you mean 'password'?" in message
    assert "it has username, password, ssl" in message
