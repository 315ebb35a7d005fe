"""Several servers that are one: most of them have to be there before one of them serves."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from tests.services.ports import TRIES
from tests.services.server import Server
from tests.services.waiting import WaitedTooLong, wait_for

M = TypeVar("M", bound="Member")
E = TypeVar("E", bound="Ensemble[Any]")


class Member(Server):
    """A server that leads others, follows one of them, or stands alone."""

    @property
    def kept(self) -> Path:
        """The folder with what it has on its disk."""
        raise NotImplementedError

    def leads(self) -> bool | None:
        """Whether it leads, or follows; None: neither, it serves nobody now."""
        raise NotImplementedError

    def forget(self) -> None:
        """Delete what one that does not run has on its disk: its next start is as its first."""
        shutil.rmtree(self.kept, ignore_errors=True)


class Ensemble(Generic[M]):
    """Three members, or another number of them. Use it in a `with`."""

    def __init__(self, servers: Sequence[M]) -> None:
        self.servers = list(servers)

    def introduce(self) -> None:
        """Tell each member where all of them are; by now they have ports."""
        raise NotImplementedError

    def start(self, servers: Sequence[M]) -> None:
        """Start them all, and wait then: one alone might serve nobody."""
        for server in servers:
            server.begin()
        for server in servers:
            server.wait_ready()

    def leader(self) -> M:
        """The one that leads now."""
        return wait_for(lambda: self._of(leads=True), "a leader", timeout=self._patience)[0]

    def followers(self) -> list[M]:
        """Those that follow it, one at least."""
        return wait_for(lambda: self._of(leads=False), "a follower", timeout=self._patience)

    @property
    def _patience(self) -> float:
        return self.servers[0].STARTED

    def _of(self, *, leads: bool) -> list[M]:
        return [one for one in self.servers if one.alive() and one.leads() is leads]

    def __enter__(self: E) -> E:
        for attempt in range(TRIES):
            try:
                for server in self.servers:
                    server.choose_ports()
                self.introduce()
                self.start(self.servers)
                return self
            except BaseException as error:
                taken = any(server.lost_its_port() for server in self.servers)
                self.__exit__()
                last = attempt == TRIES - 1
                if not isinstance(error, WaitedTooLong) or not taken or last:
                    raise
                for server in self.servers:
                    server.forget()
                    server.leave_ports()
        raise AssertionError("unreachable")

    def __exit__(self, *error: object) -> None:
        for server in self.servers:
            server.kill()
