"""sentinel://, a primary with two replicas that three sentinels watch: fail-overs under load."""

from __future__ import annotations

from pathlib import Path

from tests.services import find_redis
from tests.services.sentinel_server import Watched
from tests.stores.group import Group
from tests.stores.rows import Promise, Row, control
from tests.stores.stage import Stage

__all__ = ["ROWS", "SentinelGroup", "servers"]

FIRST_SENTINEL = 3
"""The numbers below are those of the servers."""


class SentinelGroup(Group):
    """Servers 0 to 2 keep the data, 3 to 5 are sentinels."""

    def __init__(self, watched: Watched) -> None:
        super().__init__(whole=watched)
        self.watched = watched

    @property
    def url(self) -> str:
        return self.watched.url

    def ready(self) -> None:
        self.servers = [*self.watched.servers, *self.watched.sentinels]

    @property
    def primary(self) -> int:
        """The number of the server that the sentinels name now."""
        return self.servers.index(self.watched.primary)

    def wait_failed_over(self, before: int) -> None:
        """Wait until the sentinels name another one than that."""
        self.watched.wait_failed_over(self.watched.servers[before])


def servers(folder: Path) -> Group:
    """What a row of this kind is played on."""
    binary = find_redis()
    assert binary is not None, "redis-server is missing"
    return SentinelGroup(Watched(binary, folder, replicas=2, sentinels=3))


def _of(stage: Stage) -> SentinelGroup:
    assert isinstance(stage.group, SentinelGroup)
    return stage.group


def _kill_primary(stage: Stage) -> None:
    group = _of(stage)
    primary = group.primary
    group.kill(primary)
    group.wait_failed_over(primary)


def _kill_primary_and_bring_it_back(stage: Stage) -> None:
    group = _of(stage)
    primary = group.primary
    group.kill(primary)
    group.wait_failed_over(primary)
    group.start(primary)


def _freeze_primary(stage: Stage) -> None:
    group = _of(stage)
    primary = group.primary
    group.pause(primary)
    group.wait_failed_over(primary)
    stage.wait(2.0)
    group.resume(primary)


def _cut_off_from_primary(stage: Stage) -> None:
    primary = _of(stage).primary
    stage.cut_off(primary)
    stage.wait(6.0)
    stage.join(primary)


def _cut_off_from_sentinels(stage: Stage) -> None:
    group = _of(stage)
    stage.cut_off(FIRST_SENTINEL, FIRST_SENTINEL + 1)
    primary = group.primary
    group.kill(primary)
    group.wait_failed_over(primary)
    stage.wait(2.0)
    stage.join(FIRST_SENTINEL, FIRST_SENTINEL + 1)


def _forget_leases(stage: Stage) -> None:
    """The replicas hear nothing for two seconds, and then one of them is the primary."""
    group = _of(stage)
    primary = group.primary
    with group.watched.servers[primary].client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-psync", "-sync", "-replconf")
        client.execute_command("CLIENT", "KILL", "TYPE", "replica")
    stage.wait(2.0)
    group.kill(primary)
    group.wait_failed_over(primary)


ROWS = (
    *control(servers),
    Row("the primary is killed", servers, _kill_primary),
    Row("the primary is killed, and comes back", servers, _kill_primary_and_bring_it_back),
    Row("the primary is frozen until another one is named, and resumed", servers, _freeze_primary),
    Row("one worker is cut off from the primary for 6 s", servers, _cut_off_from_primary),
    Row(
        "the primary is killed, one worker is cut off from two sentinels",
        servers,
        _cut_off_from_sentinels,
    ),
    # what the replicas were never told of is free on the new primary: a holder learns of it with
    # its next renewal, and this is not promised without `replicas`
    Row(
        "replication stops for 2 s, then the primary is killed",
        servers,
        _forget_leases,
        Promise(overlap=None),
        keys=30,
    ),
)
