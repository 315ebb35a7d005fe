"""What a container is made of: images, networks, volumes. All of them are little but names."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def new_id() -> str:
    """Sixty-four hexadecimal digits, as Docker's."""
    return secrets.token_hex(32)


@dataclass(frozen=True)
class Image:
    """A recipe's name."""

    id: str
    tag: str


@dataclass(frozen=True)
class Network:
    """A name with labels."""

    name: str
    labels: dict[str, str]
    _known: dict[str, Network] = field(repr=False)

    @property
    def attrs(self) -> dict[str, Any]:
        return {"Name": self.name, "Labels": self.labels}

    def remove(self) -> None:
        self._known.pop(self.name, None)


@dataclass(frozen=True)
class Volume:
    """A folder."""

    name: str
    labels: dict[str, str]
    path: Path
    _known: dict[str, Volume] = field(repr=False)

    @property
    def attrs(self) -> dict[str, Any]:
        return {"Name": self.name, "Labels": self.labels, "Mountpoint": str(self.path)}

    def remove(self, force: bool = False) -> None:
        self._known.pop(self.name, None)
        shutil.rmtree(self.path, ignore_errors=force)
