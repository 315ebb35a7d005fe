"""What is said of a server to which no connection came about."""

from __future__ import annotations

from celery_lock.errors import StoreError
from celery_lock.stores.etcd.address import Address as EtcdAddress
from celery_lock.stores.etcd.errors import translated as of_etcd
from celery_lock.stores.link.dialling import Unreachable
from celery_lock.stores.redis.link.address import Address as RedisAddress
from celery_lock.stores.redis.link.errors import translated as of_redis
from celery_lock.stores.zookeeper.address import Address as ZooKeeperAddress
from celery_lock.stores.zookeeper.refusals import unreachable as of_zookeeper


def unreachable(url: str, cause: Exception) -> StoreError:
    """Return what a user reads of the store at this URL, for this error of the system."""
    error = Unreachable()
    error.__cause__ = cause
    if url.startswith("zookeeper"):
        return of_zookeeper(ZooKeeperAddress.parse(url), [cause], 0, 2.0)
    if url.startswith("etcd"):
        return of_etcd(error, EtcdAddress.parse(url), 0, 2.0)
    return of_redis(error, RedisAddress.parse(url), 2.0)
