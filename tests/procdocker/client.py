"""The client: the four collections that pytest-docker-tools reaches for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import docker.errors

from tests.procdocker.container import Container
from tests.procdocker.programs import program_for
from tests.procdocker.things import Image, Network, Volume, new_id
from tests.services.shared_rabbit import SharedRabbit

T = TypeVar("T")


class ProcessDockerClient:
    """What `docker.from_env()` would be. `close()` ends whatever a test left behind."""

    def __init__(self, directory: Path, rabbit: SharedRabbit) -> None:
        self.images = Images()
        self.networks = Networks()
        self.volumes = Volumes(directory / "volumes")
        self.containers = Containers(directory / "containers", self, rabbit)

    def close(self) -> None:
        for container in self.containers.list(all=True):
            container.remove(force=True)


class Images:
    """Nothing is built or fetched: an image's name says which program runs."""

    def __init__(self) -> None:
        self._known: dict[str, Image] = {}

    def build(
        self,
        *,
        path: str,
        tag: str | None = None,
        buildargs: Mapping[str, str] | None = None,
        rm: bool = True,
        target: str | None = None,
    ) -> tuple[Image, Iterator[dict[str, Any]]]:
        return self._note(tag or f"local/{Path(path).name}"), iter(())

    def pull(self, repository: str, tag: str | None = None) -> Image:
        return self._note(f"{repository}:{tag}" if tag else repository)

    def get(self, name: str) -> Image:
        return self._known.get(name) or self._note(name)

    def _note(self, tag: str) -> Image:
        image = Image(new_id(), tag)
        return self._known.setdefault(tag, self._known.setdefault(image.id, image))


class Networks:
    """Names only: every process is on the loopback network anyway."""

    def __init__(self) -> None:
        self._known: dict[str, Network] = {}

    def create(self, name: str, *, labels: Mapping[str, str] | None = None) -> Network:
        network = Network(name, dict(labels or {}), self._known)
        self._known[name] = network
        return network

    def get(self, name: str) -> Network:
        return _known(self._known, "network", name)


class Volumes:
    """Folders below the session's own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)
        self._known: dict[str, Volume] = {}

    def create(self, name: str, *, labels: Mapping[str, str] | None = None) -> Volume:
        path = self._directory / str(next(self._numbers))
        path.mkdir(parents=True)
        volume = Volume(name, dict(labels or {}), path, self._known)
        self._known[name] = volume
        return volume

    def get(self, name: str) -> Volume:
        return _known(self._known, "volume", name)


class Containers:
    """Processes, by id and by name."""

    def __init__(self, directory: Path, client: ProcessDockerClient, rabbit: SharedRabbit) -> None:
        self._directory = directory
        self._client = client
        self._rabbit = rabbit
        self._numbers = itertools.count(1)
        self._known: dict[str, Container] = {}

    def create(
        self,
        image: str,
        command: Sequence[str] | None = None,
        *,
        name: str | None = None,
        environment: Mapping[str, str] | None = None,
        ports: Mapping[str, Any] | None = None,
        network: str | None = None,
        volumes: Mapping[str, Mapping[str, str]] | None = None,
        labels: Mapping[str, str] | None = None,
        detach: bool = True,
    ) -> Container:
        number = next(self._numbers)
        directory = self._directory / str(number)
        directory.mkdir(parents=True)
        mounts = {
            bind["bind"]: self._client.volumes.get(volume)
            for volume, bind in (volumes or {}).items()
        }
        identity = new_id()
        tag = self._client.images.get(image).tag
        program = program_for(
            tag,
            identity=identity,
            directory=directory,
            command=list(command or ()),
            environment=dict(environment or {}),
            folders={path: volume.path for path, volume in mounts.items()},
            rabbit=self._rabbit,
        )
        container = Container(
            identity,
            name or f"{tag.partition(':')[0].rpartition('/')[2]}-{number}",
            program,
            ports=dict(ports or {}),
            environment=dict(environment or {}),
            network=network or "bridge",
            mounts=mounts,
            labels=dict(labels or {}),
            known=self._known,
        )
        self._known[identity] = container
        return container

    def run(self, image: str, command: Sequence[str] | None = None, **options: Any) -> Container:
        container = self.create(image, command, **options)
        container.start()
        return container

    def get(self, name: str) -> Container:
        for container in self._known.values():
            if name in (container.name, container.id):
                return container
        raise docker.errors.NotFound(f"no such container: {name}")

    def list(self, *, all: bool = False, ignore_removed: bool = False) -> list[Container]:
        return [one for one in self._known.values() if all or one.service.alive()]


def _known(things: Mapping[str, T], kind: str, name: str) -> T:
    try:
        return things[name]
    except KeyError:
        raise docker.errors.NotFound(f"no such {kind}: {name}") from None
