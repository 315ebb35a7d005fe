"""What all servers of the tests have in common: a port of their own, which they keep."""

from __future__ import annotations

import re
from typing import ClassVar, TypeVar

from tests.services.ports import TRIES, free_port
from tests.services.service import Service
from tests.services.waiting import WaitedTooLong, wait_for

S = TypeVar("S", bound="Server")


class Server(Service):
    """A server. Its port stays the same over `stop` and `start`."""

    STARTED: ClassVar[float] = 30.0
    """Seconds that it may take to start, on a busy machine."""
    SAYS: ClassVar[str] = ""
    """What it writes once it has bound its port; empty: nothing that one could wait for."""
    TAKEN: ClassVar[re.Pattern[str]] = re.compile("ddress already in use")
    """What it writes if somebody else has its port."""

    def start(self: S) -> S:
        """Start it and wait until it answers; on a further call at the port it had."""
        known = self.port
        for attempt in range(TRIES):
            try:
                self.begin()
                self.wait_ready()
                return self
            except WaitedTooLong:
                taken = self.lost_its_port()
                self.kill()
                if not known:
                    self.leave_ports()
                if not taken or attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def begin(self) -> None:
        """Start it without waiting: at the port it had, or at one that is free."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it serves its clients."""
        raise NotImplementedError

    def wait_ready(self) -> None:
        """Wait until it has bound its port and serves its clients."""
        name = type(self).__name__
        if self.SAYS:
            self.process.wait_for_log(self.SAYS, self.STARTED, since_start=True)

        def look() -> bool:
            if not self.alive():
                raise WaitedTooLong(f"{name} died\n{self.process.tail()}")
            return self.answers()

        wait_for(look, f"an answer of {name}", timeout=self.STARTED, explain=self.process.tail)

    def lost_its_port(self) -> bool:
        """Somebody else had taken it before it was bound."""
        return self.TAKEN.search(self.process.logs(since_start=True)) is not None

    def choose_ports(self) -> None:
        """Choose those it does not have yet."""
        self.port = self.port or self.new_port()

    def leave_ports(self) -> None:
        """The next start chooses others."""
        self.port = 0

    def new_port(self) -> int:
        """Return a port that nobody listens on now."""
        return free_port()
