"""A file of the ssl options that a worker's user may not read: it stays so, and is said so."""

from __future__ import annotations

from errno import EACCES, EPERM

import pytest

from celery_lock.errors import StoreError, StoreUnavailable

from .unreachable import unreachable

SAID = "a file that the ssl options name may not be read"


def met(url: str, number: int) -> StoreError:
    """Return what a user reads of this error of the system."""
    return unreachable(url, PermissionError(number, "Permission denied"))


@pytest.mark.parametrize("url", ["rediss://h", "etcds://h", "zookeeper://h?ssl_ca_certs=ca.pem"])
def test_a_key_that_may_not_be_read_is_no_outage(url: str) -> None:
    said = met(url, EACCES)

    assert SAID in str(said)
    assert not isinstance(said, StoreUnavailable)


@pytest.mark.parametrize("url", ["redis://h", "etcd://h", "zookeeper://h"])
def test_without_tls_no_file_is_blamed(url: str) -> None:
    assert isinstance(met(url, EACCES), StoreUnavailable)


@pytest.mark.parametrize("url", ["rediss://h", "etcds://h", "zookeeper://h?ssl_ca_certs=ca.pem"])
def test_a_packet_filter_is_not_taken_for_a_file(url: str) -> None:
    assert isinstance(met(url, EPERM), StoreUnavailable)
