"""What runs inside a container: a Redis, the session's RabbitMQ, a worker, or nothing at all."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tests.procdocker.servers import RabbitProgram, RedisProgram
from tests.procdocker.workers import WorkerProgram
from tests.services.binaries import GET_REDIS, find_redis, missing
from tests.services.shared_rabbit import SharedRabbit


class Program(Protocol):
    """What a container needs to be able to do with its program."""

    def start(self) -> None: ...
    def stop(self, timeout: float) -> None: ...
    def kill(self) -> None: ...
    def signal(self, number: int) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def discard(self) -> None: ...
    def alive(self) -> bool: ...
    def returncode(self) -> int | None: ...
    def port(self) -> int | None: ...
    def logs(self) -> str: ...
    def execute(self, cmd: str | list[str]) -> tuple[int, bytes]: ...


def program_for(
    tag: str,
    *,
    identity: str,
    directory: Path,
    command: list[str],
    environment: dict[str, str],
    folders: dict[str, Path],
    rabbit: SharedRabbit,
) -> Program:
    """Choose by the image's name. What is neither server nor scratch is a worker."""
    name = tag.partition(":")[0].rpartition("/")[2]
    if name in ("redis", "valkey"):
        binary = find_redis() or missing("redis-server", GET_REDIS)
        return RedisProgram(binary, directory, command[1:])
    if name == "rabbitmq":
        return RabbitProgram(rabbit, directory)
    return WorkerProgram(identity, directory, command, environment, folders)
