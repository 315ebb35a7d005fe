"""What runs inside a container: a Redis, the session's RabbitMQ, a worker, or nothing at all."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from tests.services.binaries import GET_REDIS, find_redis, missing
from tests.services.process import Process
from tests.services.rabbit_server import RabbitServer
from tests.services.redis_server import RedisServer
from tests.services.shared_rabbit import SharedRabbit


class Program(Protocol):
    """What a container needs to be able to do with its program."""

    def start(self) -> object: ...
    def stop(self, timeout: float) -> object: ...
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
        server = RedisServer(binary, directory, args=command[1:])
        return RedisProgram(server, directory)
    if name == "rabbitmq":
        return RabbitProgram(rabbit, directory)
    return WorkerProgram(identity, directory, command, environment, folders)


class _ServerProgram:
    """A server of tests.services."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def _server(self) -> RedisServer | RabbitServer:
        raise NotImplementedError

    def start(self) -> object:
        return self._server.start()

    def stop(self, timeout: float) -> object:
        return self._server.stop()

    def kill(self) -> None:
        self._server.kill()

    def signal(self, number: int) -> None:
        self._server.process.signal(number)

    def pause(self) -> None:
        self._server.pause()

    def resume(self) -> None:
        self._server.resume()

    def discard(self) -> None:
        self._server.kill()

    def alive(self) -> bool:
        return self._server.alive()

    def returncode(self) -> int | None:
        return self._server.process.returncode

    def port(self) -> int | None:
        return self._server.port or None

    def logs(self) -> str:
        return self._server.logs()

    def execute(self, cmd: str | list[str]) -> tuple[int, bytes]:
        return _execute(cmd, self._directory, dict(os.environ))


class RedisProgram(_ServerProgram):
    """A Redis of the container's own: it starts in 30 ms."""

    def __init__(self, server: RedisServer, directory: Path) -> None:
        super().__init__(directory)
        self._own = server

    @property
    def _server(self) -> RedisServer:
        return self._own


class RabbitProgram(_ServerProgram):
    """A RabbitMQ lent by the session, since it takes 5 s to start; empty at each start."""

    def __init__(self, shared: SharedRabbit, directory: Path) -> None:
        super().__init__(directory)
        self._shared = shared
        self._lent: RabbitServer | None = None

    @property
    def _server(self) -> RabbitServer:
        if self._lent is None:
            self._lent = self._shared.lend()
        return self._lent

    def start(self) -> object:
        return None if self._server.alive() else self._server.start()

    def alive(self) -> bool:
        return self._lent is not None and self._lent.alive()

    def discard(self) -> None:
        if self._lent is not None:
            self._shared.give_back(self._lent)
            self._lent = None

    def kill(self) -> None:
        if self._lent is not None:
            self._lent.kill()

    def logs(self) -> str:
        return self._lent.logs() if self._lent else ""


class WorkerProgram:
    """A command of the image, in the folder that would be /app."""

    def __init__(
        self,
        identity: str,
        directory: Path,
        command: list[str],
        environment: dict[str, str],
        folders: dict[str, Path],
    ) -> None:
        self._cwd = folders.get("/app", directory)
        for inside, outside in folders.items():
            environment = {
                key: text.replace(inside, str(outside)) for key, text in environment.items()
            }
        self._process = Process(
            # %h is the machine's name to Celery; in a container it is the container's
            [word.replace("%h", identity[:12]) for word in _on_this_machine(command)],
            cwd=self._cwd,
            log=directory / "worker.log",
            env=_environment(environment),
        )
        self.command = command

    def start(self) -> None:
        if self.command:
            self._process.start()

    def stop(self, timeout: float) -> object:
        return self._process.stop(timeout)

    def kill(self) -> None:
        self._process.kill()

    def signal(self, number: int) -> None:
        self._process.signal(number)

    def pause(self) -> None:
        self._process.pause()

    def resume(self) -> None:
        self._process.resume()

    def discard(self) -> None:
        self._process.kill()

    def alive(self) -> bool:
        return self._process.alive()

    def returncode(self) -> int | None:
        return self._process.returncode

    def port(self) -> int | None:
        return None

    def logs(self) -> str:
        return self._process.logs()

    def execute(self, cmd: str | list[str]) -> tuple[int, bytes]:
        return _execute(cmd, self._cwd, self._process.env)


def _environment(inside: dict[str, str]) -> dict[str, str]:
    env = {key: text for key, text in os.environ.items() if not key.startswith("CELERY_")}
    paths = [inside.get("PYTHONPATH"), env.get("PYTHONPATH")]
    return {**env, **inside, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _on_this_machine(command: list[str]) -> list[str]:
    """The same command by this interpreter, whatever is on the path."""
    known = {"celery": [sys.executable, "-m", "celery"], "python": [sys.executable]}
    return [*known.get(command[0], command[:1]), *command[1:]] if command else []


def _execute(cmd: str | list[str], cwd: Path, env: dict[str, str]) -> tuple[int, bytes]:
    words = shlex.split(cmd) if isinstance(cmd, str) else list(cmd)
    done = subprocess.run(
        _on_this_machine(words),
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout
