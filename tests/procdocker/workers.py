"""The program that is a worker, or whatever else an image's command says."""

from __future__ import annotations

import os
from pathlib import Path

from tests.procdocker.commands import execute, on_this_machine
from tests.services.process import Process
from tests.services.worker import CHECKOUT


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
            [word.replace("%h", identity[:12]) for word in on_this_machine(command)],
            cwd=self._cwd,
            log=directory / "worker.log",
            env=_environment(environment),
        )
        self.command = command

    def start(self) -> None:
        if self.command:
            self._process.start()

    def stop(self, timeout: float) -> None:
        self._process.stop(timeout)

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
        return execute(cmd, self._cwd, self._process.env)


def _environment(inside: dict[str, str]) -> dict[str, str]:
    env = {key: text for key, text in os.environ.items() if not key.startswith("CELERY_")}
    paths = [inside.get("PYTHONPATH"), env.get("PYTHONPATH"), str(CHECKOUT)]
    return {**env, **inside, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
