"""What a URL with several servers is taken apart into, by whichever release of Python."""

from __future__ import annotations

import urllib.parse
from typing import Any
from urllib.parse import SplitResult

import pytest

from celery_lock.errors import LockConfigurationError
from celery_lock.stores import open_store
from celery_lock.stores.etcd import address as etcd_address
from celery_lock.stores.link import urls
from celery_lock.stores.redis.link import address as redis_address
from celery_lock.stores.redis.link import several_hosts

pytestmark = pytest.mark.unit

SIX = "[::1]:7"


@pytest.fixture(params=["as it is", "as since 2025"], autouse=True)
def _python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own reader of URLs, and one that is as strict as in the releases since 2025."""

    def strict(url: str, *args: Any, **keywords: Any) -> SplitResult:
        parts = urllib.parse.urlsplit(url, *args, **keywords)
        before, bracket, _ = parts.netloc.rpartition("@")[2].partition("[")
        if bracket and before:
            raise ValueError("Invalid IPv6 URL")
        return parts

    if request.param != "as it is":
        for module in (urls, several_hosts, etcd_address, redis_address):
            monkeypatch.setattr(module, "urlsplit", strict)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"sentinel://:pw@a:1,{SIX}/main", f"sentinel://a:1,{SIX}/main"),
        (f"sentinel://a:1;sentinel://{SIX}/main", f"sentinel://a:1,{SIX}/main"),
        (f"redis+cluster://u:pw@a:1,{SIX},b?db=0", f"redis+cluster://a:1,{SIX},b:6379"),
        (f"redlock://a:1,{SIX},b/3", f"redlock://a:1,{SIX},b:6379/3"),
        (f"etcd://u:pw@a:1,{SIX}", f"etcd://a:1,{SIX}"),
        (f"zookeeper://a:1,{SIX}/x", f"zookeeper://a:1,{SIX}/x"),
    ],
)
def test_an_address_of_ipv6_may_stand_anywhere_in_a_list(url: str, shown: str) -> None:
    assert open_store(url).url == shown


@pytest.mark.parametrize("host", ["[::1", "::1]", "[::1]:y"])
@pytest.mark.parametrize("scheme", ["sentinel", "redis+cluster", "etcd"])
def test_brackets_that_enclose_no_address_are_refused(scheme: str, host: str) -> None:
    with pytest.raises(LockConfigurationError, match="an address of IPv6 stands in brackets"):
        open_store(f"{scheme}://a:1,{host}{'/main' if scheme == 'sentinel' else ''}")


def test_several_servers_behind_the_scheme_of_one_are_told_where_they_belong() -> None:
    with pytest.raises(LockConfigurationError, match="names several servers"):
        open_store(f"redis://a:1,{SIX}")


def test_a_line_break_is_a_part_of_no_name_and_no_password() -> None:
    address = etcd_address.Address.parse("etcd://u:p\nw@a:1,\nb:2\n")

    assert (address.shown, address.password) == ("etcd://a:1,b:2", "pw")
