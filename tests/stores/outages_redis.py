"""How Redis is brought down, whoever finds its servers: sentinels, a cluster, or Redlock."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import redis

from celery_lock.stores.redis.link.slots import slot_of
from tests.services import RedisCluster, RedisServer, Watched, find_redis, wait_for
from tests.services.ports import LOOPBACK
from tests.services.redlock_nodes import RedlockNodes
from tests.stores.down_app import TTL
from tests.stores.outages import PATIENCE, SECRET, Outages

__all__ = ["Cluster", "Redlock", "Sentinel"]

KEPT = 32
"""Keys that a server has to load, a quarter of a second each."""
SLOW_TO_LOAD = (
    *("--enable-debug-command", "yes"),
    *("--loading-process-events-interval-bytes", "1024"),
)


class OfRedis(Outages):
    """What can happen to a server of Redis, whoever finds it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.binary = find_redis() or ""
        self.keepers: list[RedisServer] = []
        """Those that have keys, so many that without these no lock can be given."""
        self._secret = SECRET

    def answers(self) -> bool:
        with suppress(Exception):
            return all(self._said(one, "PING") in (True, b"PONG") for one in self.keepers)
        return False

    def _said(self, server: RedisServer, *words: Any) -> Any:
        url = server.url_for(password=self._secret)
        client: Any = redis.Redis.from_url(url, socket_timeout=30.0)
        with client:
            return client.execute_command(*words)

    def _all(self, *words: Any) -> None:
        for one in self.keepers:
            self._said(one, *words)

    @contextmanager
    def is_a_replica(self) -> Iterator[None]:
        self._all("REPLICAOF", LOOPBACK, "1")
        try:
            yield
        finally:
            self._all("REPLICAOF", "NO", "ONE")

    @contextmanager
    def is_full(self) -> Iterator[None]:
        self._all("CONFIG", "SET", "maxmemory", 1)
        try:
            yield
        finally:
            self._all("CONFIG", "SET", "maxmemory", 0)

    @contextmanager
    def loads(self) -> Iterator[None]:
        def reload(one: RedisServer) -> None:
            with suppress(Exception):
                self._said(one, "DEBUG", "RELOAD")

        for one in self.keepers:
            self.keep_something(one)
            self._said(one, "CONFIG", "SET", "key-load-delay", 250_000)
        for one in self.keepers:
            threading.Thread(target=reload, args=[one], daemon=True).start()
        for one in self.keepers:
            wait_for(
                lambda one=one: self._said(one, "INFO", "persistence")["loading"],  # type: ignore[misc]
                "a server that loads",
                timeout=PATIENCE,
            )
        try:
            yield
        finally:
            for one in self.keepers:
                self._said(one, "CONFIG", "SET", "key-load-delay", 0)
            wait_for(self._have_loaded, "servers that have loaded", timeout=PATIENCE)

    def _have_loaded(self) -> bool:
        return not any(self._said(one, "INFO", "persistence")["loading"] for one in self.keepers)

    def keep_something(self, one: RedisServer) -> None:
        """Write what takes a server a while to load."""
        self._write(one, range(KEPT))

    def _write(self, one: RedisServer, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._said(one, "SET", f"kept:{number}", os.urandom(4096))

    @contextmanager
    def wants_another_password(self) -> Iterator[None]:
        self._change_password("another")
        try:
            yield
        finally:
            self._change_password(SECRET)

    def _change_password(self, secret: str) -> None:
        for one in self.keepers:
            self._said(one, "ACL", "SETUSER", "default", "resetpass", f">{secret}")
        self._secret = secret
        for one in self.keepers:
            self._said(one, "CLIENT", "KILL", "TYPE", "normal")


class Sentinel(OfRedis):
    """A primary that nobody follows, and three sentinels: nobody takes its place."""

    def begin(self, stack: ExitStack) -> None:
        watched = stack.enter_context(
            Watched(
                self.binary,
                self.folder / "servers",
                sentinels=3,
                server={"tls": self.tls, "password": SECRET, "args": SLOW_TO_LOAD},
                sentinel={
                    "tls": self.tls,
                    "config": (f"sentinel auth-pass mymaster {SECRET}", "tls-replication yes"),
                },
            )
        )
        self.watched = watched
        self.servers = [*watched.servers, *watched.sentinels]
        self.keepers = list(watched.servers)
        self.most = [*watched.servers, *watched.sentinels[:2]]
        tls = {"ssl_ca_certs": str(self.tls.ca), "ssl_cert_reqs": "required"}
        self.options = {"password": SECRET, "ssl": tls, "sentinel_kwargs": {"ssl": True, **tls}}

    @property
    def url(self) -> str:
        return self.watched.url

    @contextmanager
    def has_sentinels_that_refuse(self) -> Iterator[None]:
        """All sentinels are gone, and the primary is there: who has to look for it cannot."""
        with self.refuses(only=[one.port for one in self.watched.sentinels]):
            yield


class Cluster(OfRedis):
    """Three masters with a replica each, which never takes the place of its master."""

    def begin(self, stack: ExitStack) -> None:
        never = ("--cluster-replica-no-failover", "yes")
        cluster = RedisCluster(
            self.binary,
            self.folder / "servers",
            masters=3,
            replicas=1,
            tls=self.tls,
            password=SECRET,
            args=[*never, *SLOW_TO_LOAD],
        )
        self.cluster = stack.enter_context(cluster)
        self.servers = list(cluster.nodes)
        self.keepers = cluster.nodes[:3]
        self.most = cluster.nodes[1:3]

    @property
    def url(self) -> str:
        return self.cluster.url

    def answers(self) -> bool:
        with suppress(Exception):
            return super().answers() and all(map(self._is_ok, self.servers))
        return False

    def _is_ok(self, node: RedisServer) -> bool:
        return b"cluster_state:ok" in self._said(node, "CLUSTER", "INFO")

    def keep_something(self, one: RedisServer) -> None:
        """Of the slots that this node has."""
        node_slots = [
            range(first, last + 1)
            for first, last, (_, port, *_), *_ in self.cluster.say(one, "CLUSTER", "SLOTS")
            if port == one.port
        ]
        numbers = (number for number in count() if slot_of(f"kept:{number}") in node_slots[0])
        self._write(one, [next(numbers) for _ in range(KEPT)])

    @contextmanager
    def is_a_replica(self) -> Iterator[None]:
        """Only the replicas are reached: each names its master."""
        with self.refuses(only=[node.port for node in self.keepers]):
            yield

    @contextmanager
    def has_no_quorum(self) -> Iterator[None]:
        """Two of three masters, and the third has found out."""
        with self._frozen(self.most):
            third = self.cluster.nodes[0]
            wait_for(lambda: not self._is_ok(third), "a cluster that is down", timeout=PATIENCE)
            yield


class Redlock(OfRedis):
    """Three nodes; faults of one server come to two of them."""

    def begin(self, stack: ExitStack) -> None:
        nodes = RedlockNodes(
            self.binary,
            self.folder / "servers",
            3,
            tls=self.tls,
            password=SECRET,
            args=SLOW_TO_LOAD,
        )
        self.nodes = stack.enter_context(nodes)
        self.servers = list(nodes.nodes)
        self.keepers = self.most = nodes.nodes[:2]
        ssl_options = {"ssl_ca_certs": str(self.tls.ca)}
        self.options = {"longest_ttl": TTL, "password": SECRET, "ssl": ssl_options}

    @property
    def url(self) -> str:
        return self.nodes.url
