"""etcd://, three members: leader and followers killed, frozen, cut off, forgotten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.services import EtcdCluster
from tests.stores import led
from tests.stores.group import Group
from tests.stores.rows import TTL, Promise, Row, control
from tests.stores.stage import Stage

__all__ = ["ROWS", "servers"]


def servers(folder: Path) -> Group:
    """What a row of this kind is played on."""
    cluster = EtcdCluster(folder)
    return led.LedGroup(cluster, lambda: cluster.url)


def _all_emptied(stage: Stage) -> None:
    stage.group.restart_empty(0, 1, 2)


ELECTED = Promise(back_within=4.0)
"""Another leader is elected in one to two seconds."""
TAKEN_AWAY = Promise(overlap=None)
"""etcd 3.4 takes renewed leases away when a frozen leader goes on. `check()` warns of it."""
NEW = Promise(overlap=TTL / 3 + 0.5, tokens=False, back_within=4.0)
"""Another cluster in the place of the old one: holders learn of it with their next renewal, and the
revisions, which are the tokens, begin at one."""

FAULTS = (
    *control(servers),
    Row("leader killed, and back 3 s later", servers, led.leader_killed),
    Row("leader frozen for 6 s, and resumed", servers, led.leader_frozen, TAKEN_AWAY),
    Row("follower frozen for 6 s, and resumed", servers, led.follower_frozen),
    Row("leader and a follower killed, and back 3 s later", servers, led.most_killed, ELECTED),
    Row("all three killed, and back at once", servers, led.all_killed, ELECTED),
    Row("all three restarted empty", servers, _all_emptied, NEW),
    Row("one worker is cut off from the leader for 6 s", servers, led.cut_off_from_leader),
    Row("one worker is cut off from two of three for 6 s", servers, led.cut_off_from_most),
    Row("one worker is cut off from all for 6 s", servers, led.cut_off),
)

ROWS = tuple(replace(row, heals=True) for row in FAULTS)
