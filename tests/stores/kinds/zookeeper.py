"""zookeeper://, three servers: leader and followers killed, frozen, cut off, emptied."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.services import ZooKeeperEnsemble, ZooKeeperServer
from tests.services.service import Service
from tests.stores.group import Group
from tests.stores.rows import TTL, Promise, Row, control
from tests.stores.stage import Stage

__all__ = ["ROWS", "ZooKeeperGroup", "servers"]

ELECTED = Promise(back_within=8.0)
"""Followers notice a silent leader after four seconds here, elect another, and follow it."""


class ZooKeeperGroup(Group):
    """An ensemble of three."""

    def __init__(self, folder: Path) -> None:
        self._ensemble = ZooKeeperEnsemble(folder)
        super().__init__(self._ensemble.servers, whole=self._ensemble)

    @property
    def url(self) -> str:
        return self._ensemble.url_for("/locks")

    @property
    def leader(self) -> int:
        """The number of the server that leads now."""
        return self.servers.index(self._ensemble.leader())

    def start(self, *numbers: int) -> None:
        """Start them together: most of them have to be there before one serves."""
        begun = [one for one in self._of(numbers) if not one.alive()]
        for one in begun:
            assert isinstance(one, ZooKeeperServer)
            one.begin()
        for one in begun:
            assert isinstance(one, ZooKeeperServer)
            one.wait_ready()

    def wipe(self, server: Service) -> None:
        assert isinstance(server, ZooKeeperServer)
        shutil.rmtree(server.data / "version-2")


def servers(folder: Path) -> Group:
    """What a row of this kind is played on."""
    return ZooKeeperGroup(folder)


def _leader(stage: Stage) -> int:
    assert isinstance(stage.group, ZooKeeperGroup)
    return stage.group.leader


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
    number = _leader(stage)
    both = number, (number + 1) % 3
    stage.group.kill(*both)
    stage.wait(3.0)
    stage.group.start(*both)


def _all_killed(stage: Stage) -> None:
    stage.group.kill(0, 1, 2)
    stage.group.start(0, 1, 2)


def _leader_emptied(stage: Stage) -> None:
    stage.group.restart_empty(_leader(stage))


def _each_emptied(stage: Stage) -> None:
    for number in range(3):
        stage.group.restart_empty(number)


def _cut_off_from_one(stage: Stage) -> None:
    number = _leader(stage)
    stage.cut_off(number)
    stage.wait(1.5 * TTL)
    stage.join(number)


def _cut_off_from_most(stage: Stage) -> None:
    number = _leader(stage)
    both = number, (number + 1) % 3
    stage.cut_off(*both)
    stage.wait(1.5 * TTL)
    stage.join(*both)


def _cut_off(stage: Stage) -> None:
    stage.cut_off()
    stage.wait(1.5 * TTL)
    stage.join()


ROWS = (
    *control(servers),
    Row("leader killed, and back 3 s later", servers, _leader_killed, ELECTED),
    Row("leader frozen for 6 s, and resumed", servers, _leader_frozen, ELECTED),
    Row("follower frozen for 6 s, and resumed", servers, _follower_frozen),
    Row("leader and a follower killed, and back 3 s later", servers, _most_killed, ELECTED),
    Row("all three killed, and back at once", servers, _all_killed, ELECTED),
    Row("leader restarted empty", servers, _leader_emptied, ELECTED),
    Row("each in turn restarted empty", servers, _each_emptied, ELECTED),
    Row("one worker is cut off from the leader for 6 s", servers, _cut_off_from_one),
    Row("one worker is cut off from two of three for 6 s", servers, _cut_off_from_most),
    Row("one worker is cut off from all for 6 s", servers, _cut_off),
)
