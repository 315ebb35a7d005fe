"""Unpacks an archive with every Python that the project runs with."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

__all__ = ["unpack"]


def unpack(archive: tarfile.TarFile, folder: Path, members: Any = None) -> None:
    """Unpack the members of an archive, `None` for all, into a folder.

    Debian's Python 3.11.2 has no filters yet, and later ones warn where none is named.
    """
    options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    archive.extractall(folder, members=members, **options)
