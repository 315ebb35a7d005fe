"""zookeeper://, three servers: leader and followers killed, frozen, cut off, emptied."""

from __future__ import annotations

from pathlib import Path

from tests.services import ZooKeeperEnsemble
from tests.stores import led
from tests.stores.group import Group
from tests.stores.rows import Promise, Row, control
from tests.stores.stage import Stage

__all__ = ["ROWS", "servers"]

ELECTED = Promise(back_within=8.0)
"""Followers notice a silent leader after four seconds here, elect another, and follow it."""


def servers(folder: Path) -> Group:
    """What a row of this kind is played on."""
    ensemble = ZooKeeperEnsemble(folder)
    return led.LedGroup(ensemble, lambda: ensemble.url_for("/locks"))


def _leader_emptied(stage: Stage) -> None:
    stage.group.restart_empty(led.leader_of(stage))


def _each_emptied(stage: Stage) -> None:
    for number in range(3):
        stage.group.restart_empty(number)


ROWS = (
    *control(servers),
    Row("leader killed, and back 3 s later", servers, led.leader_killed, ELECTED),
    Row("leader frozen for 6 s, and resumed", servers, led.leader_frozen, ELECTED),
    Row("follower frozen for 6 s, and resumed", servers, led.follower_frozen),
    Row("leader and a follower killed, and back 3 s later", servers, led.most_killed, ELECTED),
    Row("all three killed, and back at once", servers, led.all_killed, ELECTED),
    Row("leader restarted empty", servers, _leader_emptied, ELECTED),
    Row("each in turn restarted empty", servers, _each_emptied, ELECTED),
    Row("one worker is cut off from the leader for 6 s", servers, led.cut_off_from_leader),
    Row("one worker is cut off from two of three for 6 s", servers, led.cut_off_from_most),
    Row("one worker is cut off from all for 6 s", servers, led.cut_off),
)
