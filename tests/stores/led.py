"""Servers of which one leads: it and those that follow it are killed, frozen, and cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.services.ensemble import Ensemble, Member
from tests.services.service import Service
from tests.stores.group import Group
from tests.stores.rows import TTL
from tests.stores.stage import Stage

__all__ = [
    "LedGroup",
    "all_killed",
    "cut_off",
    "cut_off_from_leader",
    "cut_off_from_most",
    "follower_frozen",
    "leader_frozen",
    "leader_killed",
    "leader_of",
    "most_killed",
]


class LedGroup(Group):
    """Three members of an ensemble, whose URL is `url()` once they run."""

    def __init__(self, ensemble: Ensemble[Any], url: Callable[[], str]) -> None:
        super().__init__(ensemble.servers, whole=ensemble)
        self._ensemble = ensemble
        self._url = url

    @property
    def url(self) -> str:
        return self._url()

    @property
    def leader(self) -> int:
        """The number of the member that leads now."""
        return self.servers.index(self._ensemble.leader())

    def start(self, *numbers: int) -> None:
        """Start them together: most of them have to be there before one serves."""
        self._ensemble.start([one for one in self._of(numbers) if not one.alive()])

    def wipe(self, server: Service) -> None:
        assert isinstance(server, Member)
        server.forget()


def leader_of(stage: Stage) -> int:
    """The number of the server that leads now."""
    assert isinstance(stage.group, LedGroup)
    return stage.group.leader


def _most(stage: Stage) -> tuple[int, int]:
    """The leader, and one that follows: most of three."""
    number = leader_of(stage)
    return number, (number + 1) % 3


def leader_killed(stage: Stage) -> None:
    """And back three seconds later."""
    _killed(stage, leader_of(stage))


def most_killed(stage: Stage) -> None:
    """The leader and a follower; they are back three seconds later."""
    _killed(stage, *_most(stage))


def all_killed(stage: Stage) -> None:
    """And back at once, with what they have on disk."""
    stage.group.kill(0, 1, 2)
    stage.group.start(0, 1, 2)


def leader_frozen(stage: Stage) -> None:
    """For longer than a lease lives."""
    _frozen(stage, leader_of(stage))


def follower_frozen(stage: Stage) -> None:
    """The same with one that follows."""
    _, follower = _most(stage)
    _frozen(stage, follower)


def cut_off_from_leader(stage: Stage) -> None:
    """One worker, for longer than a lease lives."""
    cut_off(stage, leader_of(stage))


def cut_off_from_most(stage: Stage) -> None:
    """The same, from the leader and a follower."""
    cut_off(stage, *_most(stage))


def cut_off(stage: Stage, *numbers: int) -> None:
    """The same, from these; none given: from all."""
    stage.cut_off(*numbers)
    stage.wait(1.5 * TTL)
    stage.join(*numbers)


def _killed(stage: Stage, *numbers: int) -> None:
    stage.group.kill(*numbers)
    stage.wait(3.0)
    stage.group.start(*numbers)


def _frozen(stage: Stage, number: int) -> None:
    stage.group.pause(number)
    stage.wait(1.5 * TTL)
    stage.group.resume(number)
