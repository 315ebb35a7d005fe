"""sentinel://, a primary with two replicas that three sentinels watch: fail-overs under load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.services import find_redis, wait_for
from tests.services.sentinel_server import SERVICE, Watched
from tests.stores.group import Group
from tests.stores.rows import TTL, Promise, Row, control
from tests.stores.stage import Stage

__all__ = ["ROWS", "SentinelGroup", "servers"]

FIRST_SENTINEL = 3
"""The numbers below are those of the servers."""


class SentinelGroup(Group):
    """Servers 0 to 2 keep the data, 3 to 5 are sentinels."""

    def __init__(self, watched: Watched) -> None:
        super().__init__(whole=watched)
        self.watched = watched
        self._epoch = 0
        """Of the last fail-over that a row has waited for."""

    @property
    def url(self) -> str:
        return self.watched.url

    def ready(self) -> None:
        self.servers = [*self.watched.servers, *self.watched.sentinels]
        self.expect_fail_over()

    @property
    def primary(self) -> int:
        """The number of the server that the sentinels name now."""
        return self.servers.index(self.watched.primary)

    def wait_failed_over(self, before: int) -> None:
        """Wait until the sentinels name another one than that."""
        self.watched.wait_failed_over(self.watched.servers[before])
        self.expect_fail_over()

    def expect_fail_over(self) -> None:
        """Note that the last fail-over belongs to the row."""
        self._epoch = self.watched.epoch

    def by_itself(self) -> str:
        """A primary that stands still for a second is replaced. It comes back as a replica after
        eight more, and where the row has killed another one there is none until then."""
        before, self._epoch = self._epoch, self.watched.epoch
        replaced = self._epoch > before
        return "the sentinels replaced a primary that the row leaves alone" if replaced else ""


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


def _change_places(stage: Stage) -> None:
    """An operator asks for a fail-over while the primary is well."""
    group = _of(stage)
    primary = group.primary
    group.watched.sentinels[0].ask("FAILOVER", SERVICE)
    group.wait_failed_over(primary)
    stage.wait(1.0)


def _empty_primary(stage: Stage) -> None:
    """It is back before a sentinel takes it for dead, and its replicas copy that it has nothing."""
    group = _of(stage)
    group.restart_empty(group.primary)
    stage.wait(1.0)


def _kill_two_sentinels(stage: Stage) -> None:
    stage.group.kill(FIRST_SENTINEL, FIRST_SENTINEL + 1)
    stage.wait(3.0)
    stage.group.start(FIRST_SENTINEL, FIRST_SENTINEL + 1)


def _freeze_a_sentinel(stage: Stage) -> None:
    """It hangs while the others replace the primary, and then it knows the one before."""
    group = _of(stage)
    last = group.watched.sentinels[-1]
    primary = group.primary
    last.pause()
    group.kill(primary)
    others = group.watched.sentinels[:-1]
    port = str(group.servers[primary].port)
    wait_for(
        lambda: all(one.ask("get-master-addr-by-name", SERVICE)[1] != port for one in others),
        "a fail-over",
        timeout=30.0,
    )
    last.resume()
    group.expect_fail_over()


def _guarded(fault: str, befall: Callable[[Stage], None]) -> Row:
    """A row with a guard, which lets the servers grow old enough first, and once more then."""
    return Row(
        fault,
        servers,
        befall,
        Promise(back_within=TTL + 4.0),  # a task that is sent again comes back seconds later
        options={"restart_guard": True, "longest_ttl": TTL},
        keys=30,
        before=8.0,
        after=12.0,
    )


MEASURED = Promise(overlap=None)
"""Replication is asynchronous: what a new primary was never told of is free there, and a holder
learns of it with its next renewal. So without `replicas` nothing is promised of a fail-over."""
ONE, ALL = {"replicas": 1}, {"replicas": 2}

_FORGETS = "replication stops for 2 s, then the primary is killed"
_KILLED = "the primary is killed"
_FROZEN = "the primary is frozen until another one is named, and resumed"
_CHANGED = "a replica takes over while the primary is well"
_EMPTIED = "the primary is restarted empty at once"

ROWS = (
    *control(servers),
    Row(_KILLED, servers, _kill_primary, MEASURED),
    Row(_KILLED, servers, _kill_primary, options=ONE),
    Row(f"{_KILLED}, and comes back", servers, _kill_primary_and_bring_it_back, MEASURED),
    Row(_FROZEN, servers, _freeze_primary, MEASURED, keys=30),
    Row(_FROZEN, servers, _freeze_primary, options=ONE, keys=30),
    Row("one worker is cut off from the primary for 6 s", servers, _cut_off_from_primary),
    Row(
        "the primary is killed, one worker is cut off from two sentinels",
        servers,
        _cut_off_from_sentinels,
        options=ONE,
    ),
    Row(_FORGETS, servers, _forget_leases, MEASURED, keys=30),
    Row(_FORGETS, servers, _forget_leases, options=ONE, keys=30),
    _guarded(_FORGETS, _forget_leases),
    # for a moment the other replica follows the primary of before, and acknowledges
    Row(_CHANGED, servers, _change_places, MEASURED, options=ONE),
    # the primary of before is made a replica after eight seconds
    Row(_CHANGED, servers, _change_places, Promise(back_within=15.0), options=ALL, after=18.0),
    # holders learn of it with their next renewal, a third of the ttl later at most
    Row(_EMPTIED, servers, _empty_primary, Promise(overlap=TTL / 3 + 0.5)),
    _guarded(_EMPTIED, _empty_primary),
    Row("two of three sentinels are killed for 3 s", servers, _kill_two_sentinels),
    Row(
        "a sentinel is frozen while the primary is replaced",
        servers,
        _freeze_a_sentinel,
        options=ONE,
    ),
)
