"""What is said of a server that ends the connection in the middle of a TLS handshake."""

from __future__ import annotations

import ssl

import pytest

from .unreachable import unreachable

ENDS = [ssl.SSLEOFError(8, "EOF"), ConnectionResetError(104, "reset"), BrokenPipeError(32, "pipe")]
"""How it shows: which of them comes first is up to the system."""


@pytest.mark.parametrize("url", ["rediss://host:6379", "etcds://host:2379"])
@pytest.mark.parametrize("end", ENDS, ids=lambda end: type(end).__name__)
def test_a_server_that_ends_a_handshake_is_said_to_have_done_so(url: str, end: Exception) -> None:
    assert "ended the TLS handshake" in str(unreachable(url, end))


@pytest.mark.parametrize("url", ["redis://host:6379", "etcd://host:2379"])
def test_nothing_is_said_of_tls_where_there_is_none(url: str) -> None:
    assert "TLS" not in str(unreachable(url, ENDS[1]))
