"""What a fault can reach: the servers, and the wires of one of the two workers."""

from __future__ import annotations

import time
from contextlib import ExitStack

from tests.services import Proxy
from tests.stores.group import Group

__all__ = ["Stage"]


class Stage:
    """The servers of a store, and proxies between them and one worker. Use it in a `with`."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self._wires: dict[int, Proxy] = {}
        self._stack = ExitStack()

    @property
    def ways(self) -> dict[int, int]:
        """Where a connection of the worker to a server's port has to go instead."""
        return {port: wire.port for port, wire in self._wires.items()}

    def cut_off(self, *numbers: int) -> None:
        """From now on nothing passes between one worker and these servers; none given: all."""
        for port in self._ports(numbers):
            self._wires[port].swallow()

    def join(self, *numbers: int) -> None:
        """End that: what was swallowed stays lost, and connections are broken."""
        for port in self._ports(numbers):
            self._wires[port].forward()
            self._wires[port].cut()

    def wait(self, seconds: float) -> None:
        """Let it last."""
        time.sleep(seconds)

    def _ports(self, numbers: tuple[int, ...]) -> list[int]:
        ports = self.group.ports
        return [port for number in numbers or range(len(ports)) for port in ports[number]]

    def __enter__(self) -> Stage:
        for port in self._ports(()):
            self._wires[port] = self._stack.enter_context(Proxy(port))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
