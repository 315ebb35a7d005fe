"""What is said of a server that ends the connection in the middle of a TLS handshake."""

from __future__ import annotations

import ssl

import pytest

from celery_lock.errors import StoreUnavailable

from .unreachable import unreachable

ENDS = [
    ssl.SSLEOFError(8, "EOF"),
    ssl.SSLZeroReturnError(6, "closed"),
    ConnectionResetError(104, "reset"),
    BrokenPipeError(32, "pipe"),
]
"""How it shows: which of them comes first is up to the system, and to the release of Python."""


@pytest.mark.parametrize("url", ["rediss://host:6379", "etcds://host:2379"])
@pytest.mark.parametrize("end", ENDS, ids=lambda end: type(end).__name__)
def test_a_server_that_ends_a_handshake_is_said_to_have_done_so(url: str, end: Exception) -> None:
    assert "ended the TLS handshake" in str(unreachable(url, end))


@pytest.mark.parametrize("end", ENDS, ids=lambda end: type(end).__name__)
def test_servers_that_end_a_handshake_may_take_the_next_one(end: Exception) -> None:
    said = unreachable("zookeeper://host:2181?ssl_cert_reqs=none", end)

    assert isinstance(said, StoreUnavailable)
    assert "have closed the connection" in str(said)


@pytest.mark.parametrize("url", ["redis://host:6379", "etcd://host:2379"])
def test_nothing_is_said_of_tls_where_there_is_none(url: str) -> None:
    assert "TLS" not in str(unreachable(url, ConnectionResetError(104, "reset")))
