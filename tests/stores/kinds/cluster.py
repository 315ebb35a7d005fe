"""redis+cluster://, three masters with a replica each: fail-over, partition, reshard under load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from celery_lock.stores.redis.link.slots import SLOTS
from tests.services import RedisServer, find_redis
from tests.services.redis_cluster import RedisCluster
from tests.stores.group import Group
from tests.stores.rows import Promise, Row, control
from tests.stores.stage import Stage

__all__ = ["ROWS", "SCHEME", "ClusterGroup", "servers"]

SCHEME = "redis+cluster"

PLAYED_WITH = {0, 3}
"""The master that the rows do something to, and its replica."""
FAIL_OVER = 6.0
"""Seconds until a replica has taken the place of its master, and keys of it can be given again."""


class ClusterGroup(Group):
    """Servers 0 to 2 are masters at the start, 3 to 5 their replicas in this order."""

    def __init__(self, cluster: RedisCluster) -> None:
        super().__init__(whole=cluster)
        self.cluster = cluster
        self._masters: set[int] = set()
        """Their numbers, when that was looked at last."""

    @property
    def url(self) -> str:
        return self.cluster.url

    def ready(self) -> None:
        self.servers = list(self.cluster.nodes)
        self.by_itself()

    def by_itself(self) -> str:
        """A master that stands still for seconds is replaced, also one that no row touches."""
        before = self._masters
        self._masters = {self.servers.index(node) for node in self.cluster.masters()}
        replaced = before and self._masters - before - PLAYED_WITH
        return "a replica replaced a master that the row leaves alone" if replaced else ""


def servers(folder: Path) -> Group:
    """What a row of this kind is played on."""
    binary = find_redis()
    assert binary is not None, "redis-server is missing"
    return ClusterGroup(RedisCluster(binary, folder, masters=3, replicas=1))


def _cluster(stage: Stage) -> RedisCluster:
    assert isinstance(stage.group, ClusterGroup)
    return stage.group.cluster


def _kill_master(stage: Stage) -> None:
    cluster = _cluster(stage)
    stage.group.kill(0)
    cluster.wait_failed_over(cluster.nodes[0])


def _kill_master_and_back(stage: Stage) -> None:
    """It comes back as a replica of its heir, which without one gives no keys with `replicas`."""
    cluster = _cluster(stage)
    stage.group.kill(0)
    cluster.wait_failed_over(cluster.nodes[0])
    stage.group.start(0)
    cluster.wait_ready()


def _freeze_master(stage: Stage) -> None:
    """A frozen node answers nobody who asks what it knows: its replica is asked instead."""
    cluster = _cluster(stage)
    stage.group.pause(0)
    stage.wait(FAIL_OVER)
    assert cluster.say(cluster.nodes[3], "ROLE")[0] == b"master", "no fail-over in time"
    stage.group.resume(0)


def _restart_master_empty(stage: Stage) -> None:
    stage.group.restart_empty(0)


def _cut_off_from_master(stage: Stage) -> None:
    stage.cut_off(0)
    stage.wait(6.0)
    stage.join(0)


def _cut_off_from_most(stage: Stage) -> None:
    stage.cut_off(0, 1, 3, 4)
    stage.wait(6.0)
    stage.join(0, 1, 3, 4)


def _reshard(stage: Stage) -> None:
    """All slots of the first master that hold a key, and every tenth of the others, go over."""
    cluster = _cluster(stage)
    source, target = cluster.nodes[0], cluster.nodes[1]
    with _Moves(cluster, source, target) as moves:
        for slot in range(0, SLOTS // 3):
            if slot % 10 == 0 or moves.holds_keys(slot):
                moves.move(slot)


class _Moves:
    """Moves slots as `redis-cli --cluster reshard` does, over connections that stay."""

    def __init__(self, cluster: RedisCluster, source: RedisServer, target: RedisServer) -> None:
        self._cluster = cluster
        self._target = target
        self._ids = cluster.id_of(source), cluster.id_of(target)
        self._from: Any = source.client()
        self._to: Any = target.client()
        others = [node for node in cluster.masters() if node not in (source, target)]
        self._others: list[Any] = [node.client() for node in others]

    def holds_keys(self, slot: int) -> bool:
        return bool(self._from.execute_command("CLUSTER COUNTKEYSINSLOT", slot))

    def move(self, slot: int) -> None:
        source, target = self._ids
        self._to.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source)
        self._from.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target)
        while names := self._from.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            where = (self._target.host, self._target.port, "", 0, 5000)
            self._from.execute_command("MIGRATE", *where, "KEYS", *names)
        for client in (self._to, self._from, *self._others):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", target)

    def __enter__(self) -> _Moves:
        return self

    def __exit__(self, *error: object) -> None:
        for client in (self._from, self._to, *self._others):
            client.close()


# a replica was never told of the last moments of its master: a fail-over may forget a lease, whose
# holder learns of it with its next renewal. This is not promised without `replicas`.
FORGETS = Promise(overlap=None)

ROWS = (
    *control(servers),
    Row("a third of the slots is moved to another master", servers, _reshard),
    Row("a master is killed", servers, _kill_master, FORGETS),
    Row(
        "a master is frozen until its replica is master, and resumed",
        servers,
        _freeze_master,
        FORGETS,
    ),
    Row(
        "a master is killed, and back as a replica",
        servers,
        _kill_master_and_back,
        options={"replicas": 1},
    ),
    Row(
        "a master is frozen until its replica is master, and resumed",
        servers,
        _freeze_master,
        options={"replicas": 1},
    ),
    # a node of a Cluster takes no writes in the two seconds after its start
    Row(
        "a master is restarted empty",
        servers,
        _restart_master_empty,
        replace(FORGETS, back_within=4.0),
    ),
    Row("one worker is cut off from a master for 6 s", servers, _cut_off_from_master, heals=True),
    Row(
        "one worker is cut off from two masters and their replicas",
        servers,
        _cut_off_from_most,
        heals=True,
    ),
)
