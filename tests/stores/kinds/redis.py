"""redis://, one server: what a single Redis keeps, and what it forgets."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.services import RedisServer, find_redis
from tests.stores.group import Group
from tests.stores.rows import TTL, Promise, Row, control
from tests.stores.stage import Stage

__all__ = ["ROWS", "RedisGroup", "servers"]


class RedisGroup(Group):
    """One server, with its data on disk or without."""

    @property
    def url(self) -> str:
        server = self.servers[0]
        assert isinstance(server, RedisServer)
        return server.url


def servers(folder: Path, *, appendonly: bool = True) -> Group:
    """What a row of this kind is played on."""
    binary = find_redis()
    assert binary is not None, "redis-server is missing"
    return RedisGroup([RedisServer(binary, folder, appendonly=appendonly)])


def _killed(stage: Stage) -> None:
    stage.group.kill(0)
    stage.wait(3.0)
    stage.group.start(0)


def _frozen(stage: Stage) -> None:
    stage.group.pause(0)
    stage.wait(1.5 * TTL)
    stage.group.resume(0)


def _emptied(stage: Stage) -> None:
    stage.group.restart_empty(0)


def _cut_off(stage: Stage) -> None:
    stage.cut_off()
    stage.wait(1.5 * TTL)
    stage.join()


ROWS = (
    *control(servers),
    Row("killed, and back with its data 3 s later", servers, _killed),
    Row("frozen for 6 s, and resumed", servers, _frozen),
    # holders learn of it with their next renewal, a third of the ttl later at most
    Row(
        "restarted empty",
        partial(servers, appendonly=False),
        _emptied,
        Promise(overlap=TTL / 3 + 0.5),
    ),
    Row(
        "restarted empty",
        partial(servers, appendonly=False),
        _emptied,
        # it gives no key for so long; a task that is sent again comes back seconds later
        Promise(back_within=TTL + 4.0),
        options={"restart_guard": True, "longest_ttl": TTL},
        before=8.0,
        after=TTL + 6.0,
    ),
    Row("one worker is cut off from it for 6 s", servers, _cut_off),
)
