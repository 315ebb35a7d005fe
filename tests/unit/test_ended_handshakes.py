"""What is said of a server that ends the connection in the middle of a TLS handshake."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from celery_lock.stores.etcd.address import Address as EtcdAddress
from celery_lock.stores.etcd.errors import translated as of_etcd
from celery_lock.stores.link.dialling import Unreachable
from celery_lock.stores.redis.link.address import Address
from celery_lock.stores.redis.link.errors import translated as of_redis

ENDS = [ssl.SSLEOFError(8, "EOF"), ConnectionResetError(104, "reset"), BrokenPipeError(32, "pipe")]
"""How it shows: which of them comes first is up to the system."""


@pytest.mark.parametrize("end", ENDS, ids=lambda end: type(end).__name__)
def test_a_server_that_ends_a_handshake_is_said_to_have_done_so(end: Exception) -> None:
    for said in (
        of_redis(unreachable(end), Address.parse("rediss://host:6379"), 2.0),
        of_etcd(unreachable(end), EtcdAddress.parse("etcds://host:2379"), 0, 2.0),
    ):
        assert "ended the TLS handshake" in str(said)


def test_nothing_is_said_of_tls_where_there_is_none() -> None:
    for said in (
        of_redis(unreachable(ENDS[1]), Address.parse("redis://host:6379"), 2.0),
        of_etcd(unreachable(ENDS[1]), EtcdAddress.parse("etcd://host:2379"), 0, 2.0),
    ):
        assert "TLS" not in str(said)


def unreachable(cause: Exception) -> Any:
    error = Unreachable()
    error.__cause__ = cause
    return error
