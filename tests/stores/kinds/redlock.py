"""redlock://, five servers that know nothing of each other: a majority keeps a lease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.services import find_redis
from tests.services.redlock_nodes import RedlockNodes
from tests.stores.app import UNGUARDED
from tests.stores.group import Group
from tests.stores.rows import TTL, Promise, Row, control
from tests.stores.stage import Stage

__all__ = ["ROWS", "RedlockGroup", "servers"]

GROWN_UP = 6
"""Whole seconds that a node has run for, at least, when it has a vote again after a restart: the
longest lease is 4 s, a hundredth more is for the clocks, and a second for the rounding."""


class RedlockGroup(Group):
    """Five nodes, which keep nothing on disk."""

    options: Mapping[str, Any] = {"longest_ttl": TTL}

    def __init__(self, nodes: RedlockNodes) -> None:
        super().__init__(whole=nodes)
        self.servers = list(nodes.nodes)
        self._nodes = nodes

    @property
    def url(self) -> str:
        return self._nodes.url

    def ready(self) -> None:
        self._nodes.wait_grown_up(GROWN_UP)


def servers(folder: Path) -> Group:
    """What a row of this kind is played on."""
    binary = find_redis()
    assert binary is not None, "redis-server is missing"
    return RedlockGroup(RedlockNodes(binary, folder))


def _killed(stage: Stage, numbers: Sequence[int]) -> None:
    stage.group.kill(*numbers)
    stage.wait(3.0)
    stage.group.start(*numbers)


def _frozen(stage: Stage, numbers: Sequence[int]) -> None:
    stage.group.pause(*numbers)
    stage.wait(1.5 * TTL)
    stage.group.resume(*numbers)


def _emptied(stage: Stage, numbers: Sequence[int]) -> None:
    stage.group.restart_empty(*numbers)


def _emptied_in_turn(stage: Stage) -> None:
    """Two, and within the ttl two more: each lease has one node left that knows of it."""
    stage.group.restart_empty(0, 1)
    stage.wait(1.5)
    stage.group.restart_empty(2, 3)


def _cut_off(stage: Stage, numbers: Sequence[int]) -> None:
    stage.cut_off(*numbers)
    stage.wait(1.5 * TTL)
    stage.join(*numbers)


VOTED = Promise(tokens=False)
GROWING = Promise(tokens=False, back_within=GROWN_UP + 2.0)
"""No majority votes before some nodes are old enough."""

ROWS = (
    *control(servers),
    Row(
        "one node is killed, and back empty 3 s later",
        servers,
        partial(_killed, numbers=[0]),
        VOTED,
    ),
    Row(
        "two nodes are killed, and back empty 3 s later",
        servers,
        partial(_killed, numbers=[0, 1]),
        VOTED,
    ),
    Row("one node is frozen for 6 s, and resumed", servers, partial(_frozen, numbers=[0]), VOTED),
    Row(
        "two nodes are frozen for 6 s, and resumed",
        servers,
        partial(_frozen, numbers=[0, 1]),
        VOTED,
    ),
    Row(
        "three nodes are frozen for 6 s, and resumed",
        servers,
        partial(_frozen, numbers=[0, 1, 2]),
        VOTED,
    ),
    Row("two nodes are restarted empty", servers, partial(_emptied, numbers=[0, 1]), VOTED),
    Row(
        "all nodes are restarted empty",
        servers,
        partial(_emptied, numbers=[0, 1, 2, 3, 4]),
        GROWING,
    ),
    Row("two nodes are restarted empty, then two more", servers, _emptied_in_turn, GROWING),
    Row(
        "two nodes are restarted empty, then two more",
        servers,
        _emptied_in_turn,
        # holders learn of it with their next renewal, a third of the ttl later at most
        Promise(overlap=TTL / 3 + 0.5, tokens=False),
        options={UNGUARDED: True},
    ),
    Row(
        "one worker is cut off from one node for 6 s",
        servers,
        partial(_cut_off, numbers=[0]),
        VOTED,
    ),
    Row(
        "one worker is cut off from three nodes for 6 s",
        servers,
        partial(_cut_off, numbers=[0, 1, 2]),
        VOTED,
    ),
)
