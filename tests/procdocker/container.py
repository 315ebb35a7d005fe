"""The raw container: Docker's verbs, carried out on a program."""

from __future__ import annotations

import io
import signal as signals
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import docker.errors

from tests.procdocker.programs import Program
from tests.procdocker.things import Volume
from tests.services.ports import LOOPBACK
from tests.services.waiting import wait_for

LISTENING = "0A"
"""The state of a listening socket, as /proc/net/tcp writes it."""


class Container:
    """One program, seen as a container. As with Docker, `status` is what the last `reload` saw."""

    def __init__(
        self,
        identity: str,
        name: str,
        program: Program,
        *,
        ports: dict[str, Any],
        environment: dict[str, str],
        network: str,
        mounts: dict[str, Volume],
        labels: dict[str, str],
        known: dict[str, Container],
    ) -> None:
        self.id = identity
        self.name = name
        self.labels = labels
        self.program = program
        self.service = program.service
        self.status = "created"
        self._ports = ports
        self._environment = environment
        self._network = network
        self._mounts = mounts
        self._known = known
        self._paused = False

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        if not self.service.alive():  # a server that is lent runs already
            self.service.start()
        self.reload()

    def restart(self, timeout: float = 10) -> None:
        """Stop (SIGTERM, then SIGKILL) and start again: same ports, same log, same files."""
        self.unpause()
        self.service.stop(timeout)
        self.start()

    def kill(self, signal: str | int | None = None) -> None:
        """Signal the first process; its death is the death of all."""
        self.reload()
        if self.status == "exited":
            raise docker.errors.APIError(f"container {self.name} is not running")
        number = _number(signal or "SIGKILL")
        if number == signals.SIGKILL:
            self.service.kill()
        else:
            self.service.process.signal(number)

    def pause(self) -> None:
        """Freeze all of its processes."""
        self.service.pause()
        self._paused = True

    def unpause(self) -> None:
        """Let frozen processes go on."""
        if self._paused:
            self.service.resume()
            self._paused = False

    def wait(self, timeout: float = 60) -> dict[str, int]:
        wait_for(lambda: not self._alive(), f"the end of {self.name}", timeout=timeout)
        return {"StatusCode": self.service.process.returncode or 0}

    def remove(self, force: bool = False, v: bool = False) -> bool:
        """End the program for good. True, so that `remove() and wait()` waits."""
        if not force and self._alive():
            raise docker.errors.APIError(f"container {self.name} is running: remove(force=True)")
        if self._known.pop(self.id, None) is not None:
            self.program.discard()
        self.reload()
        return True

    # -- what is known of it ------------------------------------------------------------------

    def reload(self) -> None:
        alive = self._alive()
        if not alive and self.status != "created" and self.id in self._known:
            self.service.kill()  # the leader has ended: nobody of its group may live on
        self.status = ("paused" if self._paused else "running") if alive else "exited"

    def _alive(self) -> bool:
        return self.id in self._known and self.service.alive()

    @property
    def attrs(self) -> dict[str, Any]:
        host_port = self.service.port
        bound = [{"HostIp": LOOPBACK, "HostPort": str(host_port)}] if host_port else None
        return {
            "Id": self.id,
            "Name": self.name,
            "Config": {
                # pytest-celery makes URLs of it, without a port: on Docker the default one holds
                "Hostname": f"{LOOPBACK}:{host_port}" if host_port else self.id[:12],
                "Env": [f"{key}={value}" for key, value in self._environment.items()],
                "Labels": self.labels,
            },
            "HostConfig": {"PortBindings": {port: bound for port in self._ports}},
            "NetworkSettings": {
                "Networks": {self._network: {"IPAddress": LOOPBACK}},
                "Ports": {port: bound for port in self._ports},
            },
            "Mounts": [
                {"Type": "volume", "Name": volume.name, "Destination": path}
                for path, volume in self._mounts.items()
            ],
        }

    def logs(self) -> bytes:
        return self.service.logs().encode()

    # -- inside it ----------------------------------------------------------------------------

    def exec_run(self, cmd: str | list[str], **options: Any) -> tuple[int, bytes]:
        """Run a command with the program's folder and environment."""
        if isinstance(cmd, str) and cmd.startswith("cat /proc/net/tcp"):
            return 0, self._listeners().encode()
        return self.program.execute(cmd)

    def put_archive(self, path: str, data: Any) -> bool:
        blob = data if isinstance(data, bytes) else data.read()
        with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
            for member in archive:
                target = self._on_host(path) / member.name
                content = archive.extractfile(member)  # nothing for a folder
                if content is None:
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content.read())
        return True

    def get_archive(self, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        blob = io.BytesIO()
        with tarfile.open(fileobj=blob, mode="w") as archive:
            archive.add(self._on_host(path), arcname=PurePosixPath(path).name)
        return iter([blob.getvalue()]), {"name": PurePosixPath(path).name}

    def _on_host(self, path: str) -> Path:
        for inside, volume in self._mounts.items():
            if PurePosixPath(path).is_relative_to(inside):
                return volume.path / PurePosixPath(path).relative_to(inside)
        raise docker.errors.NotFound(f"{path} is on no volume of {self.name}")

    def _listeners(self) -> str:
        # Told from inside: the port numbers of the image, not those of this machine.
        if not self._alive():
            return ""
        inside = [int(port.partition("/")[0]) for port in self._ports]
        return "\n".join(f"0: 00000000:{port:04X} 00000000:0000 {LISTENING}" for port in inside)


def _number(signal: str | int) -> int:
    if isinstance(signal, int):
        return signal
    name = signal if signal.startswith("SIG") else f"SIG{signal}"
    return int(signals.Signals[name])
