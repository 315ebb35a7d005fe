"""The servers of one store, by number: killed, frozen, restarted empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from tests.services.service import Service

__all__ = ["Group"]


class Group:
    """What a kind of store derives from. Use it in a `with`, on the thread that starts it.

    A subclass gives the servers to `__init__` and says `url`. What is more than starting each of
    them (a Cluster that has to be formed, an election that has to be over) is `ready()`. A fixture
    of `tests/services` that starts all of them is given as `whole`, and entered instead; where it
    has its servers only then, `ready()` says which: `self.servers = [...]`.
    """

    options: Mapping[str, Any] = {}
    """`lock_store_options` that are always needed, a password for instance."""

    def __init__(
        self, servers: Sequence[Service] = (), *, whole: AbstractContextManager[Any] | None = None
    ) -> None:
        self.servers = list(servers)
        self._whole = whole
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """`lock_store`, once the servers run."""
        raise NotImplementedError

    @property
    def ports(self) -> list[tuple[int, ...]]:
        """For each server, the ports that a client talks to: a worker can be cut off from them."""
        return [(server.port,) for server in self.servers]

    def ready(self) -> None:
        """Wait until the servers, which all run, are one store."""

    def by_itself(self) -> str:
        """Say what has happened to the servers since the start, or since this was asked last, that
        no row does; empty: nothing."""
        return ""

    def wipe(self, server: Service) -> None:
        """Delete what a server that does not run has on disk."""

    # -- what befalls them ------------------------------------------------------------------------

    def kill(self, *numbers: int) -> None:
        """kill -9 these servers, all at once."""
        for server in self._of(numbers):
            server.kill()

    def start(self, *numbers: int) -> None:
        """Start what was killed, at the port that it had and with what it has on disk."""
        for server in self._of(numbers):
            if not server.alive():
                server.start()

    def pause(self, *numbers: int) -> None:
        """Freeze them: the kernel accepts connections, and nothing is answered."""
        for server in self._of(numbers):
            server.pause()

    def resume(self, *numbers: int) -> None:
        """Let the frozen ones go on."""
        for server in self._of(numbers):
            server.resume()

    def restart_empty(self, *numbers: int) -> None:
        """Kill them, and start them again at once; each has forgotten everything."""
        self.kill(*numbers)
        for server in self._of(numbers):
            self.wipe(server)
        self.start(*numbers)

    def _of(self, numbers: Sequence[int]) -> list[Service]:
        assert numbers, "say which servers: their numbers begin with 0"
        return [self.servers[number] for number in numbers]

    def __enter__(self) -> Group:
        with self._stack as stack:
            for one in self.servers if self._whole is None else [self._whole]:
                stack.enter_context(one)
            self.ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
