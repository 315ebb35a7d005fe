"""A file of the ssl options that a worker's user may not read: it stays so, and is said so."""

from __future__ import annotations

from errno import EACCES, EPERM

import pytest

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.stores.etcd.address import Address as EtcdAddress
from celery_lock.stores.etcd.errors import translated as of_etcd
from celery_lock.stores.link.dialling import Unreachable
from celery_lock.stores.redis.link.address import Address as RedisAddress
from celery_lock.stores.redis.link.errors import translated as of_redis
from celery_lock.stores.zookeeper.address import Address as ZooKeeperAddress
from celery_lock.stores.zookeeper.refusals import unreachable

SAID = "a file that the ssl options name may not be read"


def met(url: str, number: int) -> StoreError:
    """Return what a user reads of this error of the system."""
    cause = PermissionError(number, "Permission denied")
    error = Unreachable()
    error.__cause__ = cause
    if url.startswith("zookeeper"):
        return unreachable(ZooKeeperAddress.parse(url), [cause], 0, 2.0)
    if url.startswith("etcd"):
        return of_etcd(error, EtcdAddress.parse(url), 0, 2.0)
    return of_redis(error, RedisAddress.parse(url), 2.0)


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
