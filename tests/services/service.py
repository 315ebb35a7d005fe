"""What a server and a worker of the tests have in common: each is one process with its group."""

from __future__ import annotations

from typing import TypeVar

from tests.services.process import Process

S = TypeVar("S", bound="Service")


class Service:
    """One process that may be started, frozen, ended and started again. Use it in a `with`."""

    port = 0
    """Where it listens; 0: nowhere, or not yet."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def start(self: S) -> S:
        """Start it; a server or a worker waits until it is ready."""
        self.process.start()
        return self

    def stop(self, timeout: float = 10.0) -> int | None:
        """End it politely (SIGTERM), after `timeout` seconds by force; return its status."""
        return self.process.stop(timeout)

    def kill(self) -> None:
        """kill -9, and nobody of its group lives on: clients see a reset connection, then none."""
        self.process.kill()

    def restart(self: S) -> S:
        """Stop it if it runs, and start it with the same port, folder and log."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): the kernel accepts connections, and nothing is answered."""
        self.process.pause()

    def resume(self) -> None:
        """Let what was frozen go on (SIGCONT): what was sent meanwhile is answered now."""
        self.process.resume()

    def alive(self) -> bool:
        """Whether its main process runs."""
        return self.process.alive()

    def logs(self) -> str:
        """All that it wrote, over restarts."""
        return self.process.logs()

    def __enter__(self: S) -> S:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.kill()
