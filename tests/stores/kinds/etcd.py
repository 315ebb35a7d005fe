"""etcd://, three members: leader and followers killed, frozen, cut off, forgotten."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from tests.services.etcd_server import EtcdCluster, EtcdServer
from tests.services.service import Service
from tests.stores.group import Group
from tests.stores.rows import TTL, Promise, Row, control
from tests.stores.stage import Stage

__all__ = ["ROWS", "EtcdGroup", "servers"]


class EtcdGroup(Group):
    """A cluster of three."""

    def __init__(self, cluster: EtcdCluster) -> None:
        super().__init__(cluster.members, whole=cluster)
        self._cluster = cluster

    @property
    def url(self) -> str:
        return self._cluster.url

    @property
    def leader(self) -> int:
        """The number of the member that leads now."""
        return self.servers.index(self._cluster.leader())

    def start(self, *numbers: int) -> None:
        """Start them together: most of them have to be there before one takes writes."""
        begun = [self._cluster.members[number] for number in numbers]
        for one in begun:
            one.begin()
        for one in begun:
            one.wait_ready()

    def wipe(self, server: Service) -> None:
        assert isinstance(server, EtcdServer)
        shutil.rmtree(server.directory / "data")


def servers(folder: Path) -> Group:
    """What a row of this kind is played on."""
    return EtcdGroup(EtcdCluster(folder))


def _leader(stage: Stage) -> int:
    assert isinstance(stage.group, EtcdGroup)
    return stage.group.leader


def _two(stage: Stage) -> tuple[int, int]:
    """The leader, and one that follows: most of three."""
    number = _leader(stage)
    return number, (number + 1) % 3


def _leader_killed(stage: Stage) -> None:
    number = _leader(stage)
    stage.group.kill(number)
    stage.wait(3.0)
    stage.group.start(number)


def _leader_frozen(stage: Stage) -> None:
    number = _leader(stage)
    stage.group.pause(number)
    stage.wait(1.5 * TTL)
    stage.group.resume(number)


def _follower_frozen(stage: Stage) -> None:
    number = (_leader(stage) + 1) % 3
    stage.group.pause(number)
    stage.wait(1.5 * TTL)
    stage.group.resume(number)


def _most_killed(stage: Stage) -> None:
    both = _two(stage)
    stage.group.kill(*both)
    stage.wait(3.0)
    stage.group.start(*both)


def _all_killed(stage: Stage) -> None:
    stage.group.kill(0, 1, 2)
    stage.group.start(0, 1, 2)


def _all_emptied(stage: Stage) -> None:
    stage.group.restart_empty(0, 1, 2)


def _cut_off_from_leader(stage: Stage) -> None:
    number = _leader(stage)
    stage.cut_off(number)
    stage.wait(1.5 * TTL)
    stage.join(number)


def _cut_off_from_most(stage: Stage) -> None:
    both = _two(stage)
    stage.cut_off(*both)
    stage.wait(1.5 * TTL)
    stage.join(*both)


def _cut_off(stage: Stage) -> None:
    stage.cut_off()
    stage.wait(1.5 * TTL)
    stage.join()


ELECTED = Promise(back_within=4.0)
"""Another leader is elected in one to two seconds."""
TAKEN_AWAY = Promise(overlap=None)
"""etcd 3.4 takes renewed leases away when a frozen leader goes on. `check()` warns of it."""
NEW = Promise(overlap=TTL / 3 + 0.5, tokens=False, back_within=4.0)
"""Another cluster in the place of the old one: holders learn of it with their next renewal, and the
revisions, which are the tokens, begin at one."""

FAULTS = (
    *control(servers),
    Row("leader killed, and back 3 s later", servers, _leader_killed),
    Row("leader frozen for 6 s, and resumed", servers, _leader_frozen, TAKEN_AWAY),
    Row("follower frozen for 6 s, and resumed", servers, _follower_frozen),
    Row("leader and a follower killed, and back 3 s later", servers, _most_killed, ELECTED),
    Row("all three killed, and back at once", servers, _all_killed, ELECTED),
    Row("all three restarted empty", servers, _all_emptied, NEW),
    Row("one worker is cut off from the leader for 6 s", servers, _cut_off_from_leader),
    Row("one worker is cut off from two of three for 6 s", servers, _cut_off_from_most),
    Row("one worker is cut off from all for 6 s", servers, _cut_off),
)

ROWS = tuple(replace(row, heals=True) for row in FAULTS)
