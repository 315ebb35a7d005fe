"""What runs inside a container: a Redis, the session's RabbitMQ, or the command of a worker."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.services.binaries import GET_REDIS, find_redis, missing
from tests.services.process import Process
from tests.services.redis_server import RedisServer
from tests.services.service import Service
from tests.services.shared_rabbit import SharedRabbit
from tests.services.worker import CHECKOUT


@dataclass(frozen=True)
class Program:
    """A service, and what becomes of it when its container is removed."""

    service: Service
    discard: Callable[[], None]

    def execute(self, cmd: str | list[str]) -> tuple[int, bytes]:
        """Run a command beside it to its end; return its exit status and all that it said."""
        process = self.service.process
        done = subprocess.run(
            _on_this_machine(shlex.split(cmd) if isinstance(cmd, str) else cmd),
            cwd=process.cwd,
            env=process.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout


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
    """Choose by the image's name. What is no server is a worker: its command says the rest."""
    name = tag.partition(":")[0].rpartition("/")[2]
    if name in ("redis", "valkey"):  # of the container's own: it starts in 30 ms
        binary = find_redis() or missing("redis-server", GET_REDIS)
        redis = RedisServer(binary, directory, args=command[1:])
        return Program(redis, redis.kill)
    if name == "rabbitmq":  # lent by the session, since it takes 5 s to start
        server = rabbit.lend()
        return Program(server, lambda: rabbit.give_back(server))
    for inside, outside in folders.items():
        environment = {key: text.replace(inside, str(outside)) for key, text in environment.items()}
    worker = Service(
        Process(
            # %h is the machine's name to Celery; in a container it is the container's
            [word.replace("%h", identity[:12]) for word in _on_this_machine(command)],
            cwd=folders.get("/app", directory),
            log=directory / "worker.log",
            env=_environment(environment),
        )
    )
    return Program(worker, worker.kill)


def _on_this_machine(command: list[str]) -> list[str]:
    """A command that was written for a container, by this interpreter, whatever is on the path."""
    known = {"celery": [sys.executable, "-m", "celery"], "python": [sys.executable]}
    return [*known.get(command[0], command[:1]), *command[1:]] if command else []


def _environment(inside: dict[str, str]) -> dict[str, str]:
    env = {key: text for key, text in os.environ.items() if not key.startswith("CELERY_")}
    paths = [inside.get("PYTHONPATH"), env.get("PYTHONPATH"), str(CHECKOUT)]
    return {**env, **inside, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
