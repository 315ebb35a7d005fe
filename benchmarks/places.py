"""The servers of each kind of store, and who takes a key there: ours, and what users pick else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import etcd3gw
import pottery
import redis
import redlock
from kazoo.client import KazooClient
from redis.sentinel import Sentinel

from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.events import Observers, Subject
from celery_lock.events.log_lines import log_lines
from celery_lock.metrics import counters
from celery_lock.model import Claim
from celery_lock.signals import signal_observer
from celery_lock.stores import open_store
from tests.services import RedisServer, find_redis
from tests.services.etcd_server import EtcdCluster, find_etcd
from tests.services.redis_cluster import RedisCluster
from tests.services.redlock_nodes import RedlockNodes
from tests.services.sentinel_server import SERVICE, Watched
from tests.services.zookeeper_server import ZooKeeperEnsemble, can_run_zookeeper

from . import names
from .contenders import TTL, Taker
from .machine import on_cpus, servers_cpu

__all__ = ["PLACES", "WAIT", "Client", "Place", "opened", "ours"]

Client = Callable[[], Taker]
"""Makes a client of its own, which takes keys, and waits for one that is taken."""

WAIT = 20.0
"""Seconds; nobody waits for so long."""


@dataclass(frozen=True)
class Place:
    """A store whose servers run until the stack that it was opened on is closed."""

    name: str
    """Of our row, without the name of the library: the scheme, and what is special."""
    url: str
    ports: tuple[int, ...]
    """Of the nodes that keep the locks."""
    others: Mapping[str, Client] = field(default_factory=dict)
    """What users pick else on the same servers, by the names of their rows."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """`lock_store_options`."""
    pings: str | None = None
    """The row of two PINGs to each of the nodes, all sent before any is read: as fast as a lock on
    all of them can be."""
    shared: bool = False
    """It matters who had a key last: cycles on keys of several processes are measured as well."""


# -- ours ------------------------------------------------------------------------------------

_NUMBERS = count()


def ours(place: Place) -> Client:
    """Return what makes clients of ours: the engine over the store, as a worker has it."""

    def made() -> Taker:
        store = open_store(place.url, options=place.options, deadline=WAIT)
        observers = Observers(log_lines, counters, signal_observer())
        locker, subject = Locker(store, observers=observers), Subject("bench", "id", "bench:{n}")

        def take(key: str) -> Callable[[], object]:
            grant = locker.wait(Ask(_claim(key), subject), WAIT)
            assert isinstance(grant, Grant)
            return lambda: locker.release(grant)

        return take

    return made


def _claim(key: str) -> Claim:
    number = next(_NUMBERS)
    holder = f"6f2d5c1e-7a34-4b51-9d0e-{number:012x}#celery@worker-1#4711#0123456789abcdef"
    return Claim(key, holder, float(TTL), publication=f"b7e9a8c2-3d14-4f6a-8e5b-{number:012x}")


# -- the servers, with what else there is ------------------------------------------------------


def _redis(stack: ExitStack, directory: Path) -> list[Place]:
    server = stack.enter_context(RedisServer(_binary(), directory))
    others = {names.ON_REDIS: _redis_py(server.client)}
    return [Place("redis://", server.url, (server.port,), others)]


def _sentinel(stack: ExitStack, directory: Path) -> list[Place]:
    servers = stack.enter_context(Watched(_binary(), directory, replicas=2, sentinels=3))

    def client() -> Any:
        asked = [(one.host, one.port) for one in servers.sentinels]
        return Sentinel(asked).master_for(SERVICE)  # type: ignore[no-untyped-call]

    ports = tuple(one.port for one in servers.servers)
    others = {names.ON_SENTINEL: _redis_py(client)}
    return [Place("sentinel://", servers.url, ports, others)]


def _cluster(stack: ExitStack, directory: Path) -> list[Place]:
    servers = stack.enter_context(RedisCluster(_binary(), directory, masters=3, replicas=1))
    first = servers.nodes[0]

    def client() -> Any:
        return redis.RedisCluster(host=first.host, port=first.port)

    ports = tuple(one.port for one in servers.nodes)
    return [
        Place("redis+cluster://", servers.url, ports, {names.ON_CLUSTER: _redis_py(client)}),
    ]


def _redlock(stack: ExitStack, directory: Path) -> list[Place]:
    nodes = stack.enter_context(RedlockNodes(_binary(), directory))
    nodes.wait_grown_up()
    urls = [node.url for node in nodes.nodes]
    masters = [node.client() for node in nodes.nodes]

    def by_redlock_ng() -> Taker:
        mine = redlock.Redlock(urls)

        def take(key: str) -> Callable[[], object]:
            lock = mine.acquire(key, TTL * 1000, blocking=True)
            return lambda: mine.release(lock)

        return take

    def by_pottery() -> Taker:
        def take(key: str) -> Callable[[], object]:
            lock = pottery.Redlock(key=key, masters=set(masters), auto_release_time=TTL)
            assert lock.acquire(timeout=WAIT)
            return lambda: lock.release()

        return take

    ports = tuple(node.port for node in nodes.nodes)
    others = {names.REDLOCK_NG: by_redlock_ng, names.POTTERY: by_pottery}
    # none of the nodes is restarted, and nobody wants to wait for a minute here
    options = {"longest_ttl": 0.05}
    return [Place("redlock://", nodes.url, ports, others, options, pings=names.TEN_PINGS)]


def _etcd(stack: ExitStack, directory: Path) -> list[Place]:
    if find_etcd() is None:
        return []
    cluster = stack.enter_context(EtcdCluster(directory))
    first = cluster.servers[0]

    def made() -> Taker:
        mine = etcd3gw.client(host=first.host, port=first.port)

        def take(key: str) -> Callable[[], object]:
            lock = mine.lock(key, ttl=TTL)
            assert lock.acquire()
            return lambda: lock.release()

        return take

    ports = tuple(one.port for one in cluster.servers)
    return [Place("etcd://", cluster.url, ports, {names.ETCD3GW: made})]


def _zookeeper(stack: ExitStack, directory: Path) -> list[Place]:
    if not can_run_zookeeper():
        return []
    servers = stack.enter_context(ZooKeeperEnsemble(directory))
    hosts = ",".join(f"{one.host}:{one.port}" for one in servers.servers)

    def made() -> Taker:
        client = KazooClient(hosts)
        client.start()
        stack.callback(client.stop)

        def take(key: str) -> Callable[[], object]:
            lock = client.Lock(f"/kazoo/{key}")
            assert lock.acquire(timeout=WAIT)
            return lambda: lock.release()

        return take

    ports = tuple(one.port for one in servers.servers)
    others = {names.KAZOO: made}
    return [Place("zookeeper://", servers.url_for(), ports, others, shared=True)]


def _redis_py(client: Callable[[], Any]) -> Client:
    def made() -> Taker:
        mine = client()

        def take(key: str) -> Callable[[], object]:
            lock = mine.lock(key, timeout=TTL)
            assert lock.acquire(blocking_timeout=WAIT)
            return lambda: lock.release()

        return take

    return made


def _binary() -> str:
    binary = find_redis()
    assert binary is not None, "redis-server is missing"
    return binary


PLACES: Mapping[str, Callable[[ExitStack, Path], list[Place]]] = {
    "redis": _redis,
    "sentinel": _sentinel,
    "cluster": _cluster,
    "redlock": _redlock,
    "etcd": _etcd,
    "zookeeper": _zookeeper,
}
"""By kind: starts the servers; an empty list where they are not installed."""


def opened(stack: ExitStack, directory: Path) -> list[Place]:
    """Start all servers that are installed, on the processor of servers."""
    places: list[Place] = []
    with on_cpus(servers_cpu()):
        for kind, start in PLACES.items():
            folder = directory / kind
            folder.mkdir(parents=True, exist_ok=True)
            places += start(stack, folder)
    return places
