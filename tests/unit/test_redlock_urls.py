"""What redlock:// and its options may say, and how a mistake in them is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from celery_lock.errors import LockConfigurationError, UnsupportedFeature
from celery_lock.model import Feature, Lease
from celery_lock.stores import open_store
from celery_lock.stores.redlock import RedlockStore
from celery_lock.stores.redlock.addresses import parse

SECRET = "s3cret"


def refusal(url: str, **options: Any) -> str:
    with pytest.raises(LockConfigurationError) as caught:
        open_store(url, options=options)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_each_name_is_a_node_with_the_usual_port() -> None:
    found = parse("redlock://a,b:7000,[::1]:7001/3")

    assert [(one.host, one.port, one.db) for one in found.nodes] == [
        ("a", 6379, 3),
        ("b", 7000, 3),
        ("::1", 7001, 3),
    ]
    assert found.shown == "redlock://a:6379,b:7000,[::1]:7001/3"


def test_a_node_without_a_login_has_that_of_the_first() -> None:
    found = parse(f"redlock://me:{SECRET}@a,b,you:other@c")

    assert [one.login for one in found.nodes] == [
        ("me", SECRET),
        ("me", SECRET),
        ("you", "other"),
    ]
    assert SECRET not in found.shown


def test_options_and_tls_hold_for_all_nodes() -> None:
    found = parse("redlock://a,b,c?ssl_cert_reqs=none", {"password": SECRET})

    assert [one.login for one in found.nodes] == [(SECRET,)] * 3
    assert all(one.tls is not None for one in found.nodes)
    assert SECRET not in repr(found)


def test_a_name_that_is_given_twice_is_refused() -> None:
    said = refusal(f"redlock://:{SECRET}@a:6379,b,a/0")

    assert "names a:6379 twice" in said
    assert "one vote" in said


@pytest.mark.parametrize("url", ["redlock://", "redlock://a,,b", f"redlock://:{SECRET}@,b"])
def test_a_node_without_a_name_is_refused(url: str) -> None:
    assert "a node without a name" in refusal(url)


def test_an_option_that_it_does_not_have_is_refused_with_those_that_it_has() -> None:
    said = refusal("redlock://a,b,c", longest_tll=60)

    assert "did you mean 'longest_ttl'" in said
    assert "username, password, credential_provider, client_name, ssl" in said


def test_replicas_are_refused_with_the_reason() -> None:
    assert "a majority of them is what keeps a lease" in refusal("redlock://a,b,c", replicas=1)


def test_the_guard_cannot_be_switched_off() -> None:
    assert "would vote a second time" in refusal("redlock://a,b,c", restart_guard=False)
    assert parse("redlock://a,b,c", {"restart_guard": True}).longest_ttl == 60


@pytest.mark.parametrize("longest", [0, -1, float("nan"), float("inf"), "60", True, None])
def test_a_longest_ttl_that_is_no_time_is_refused(longest: Any) -> None:
    assert "longest ttl of all locks" in refusal("redlock://a,b,c", longest_ttl=longest)


def test_a_longest_ttl_may_be_a_timedelta() -> None:
    store = RedlockStore("redlock://a,b,c", options={"longest_ttl": timedelta(minutes=5)})

    assert store.longest_ttl == 300


def test_it_promises_what_needs_no_single_place() -> None:
    store = RedlockStore("redlock://a,b,c")

    assert store.features == {Feature.FLOORS, Feature.HEIRS, Feature.COPIES}
    assert store.coarse == 0
    assert repr(store) == "<RedlockStore redlock://a:6379,b:6379,c:6379/0>"
    with pytest.raises(NotImplementedError, match="records"):
        store.names("space")


def test_a_token_is_refused_with_the_stores_that_have_one() -> None:
    store = RedlockStore("redlock://a,b,c")
    lease = Lease("k", "h", None, no_token=store.no_token)

    with pytest.raises(UnsupportedFeature) as caught:
        _ = lease.token

    assert "lease.token of lock 'k'" in str(caught.value)
    assert "redlock://a:6379,b:6379,c:6379/0 has not" in str(caught.value)
    assert "redis://" in str(caught.value)
    assert "redlock://" not in caught.value.stores


def test_a_prefix_with_braces_is_refused() -> None:
    with pytest.raises(LockConfigurationError, match="must have no braces"):
        RedlockStore("redlock://a,b,c", prefix="{x}")
