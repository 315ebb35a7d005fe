"""Celery's own tests, out of the source distribution of the version that is installed."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tarfile
from pathlib import Path

from tools.archives import unpack

__all__ = ["collected", "unpacked"]

KEPT = ("t/__init__.py", "t/skip.py", "t/canvas_helpers.py", "t/integration/", "pyproject.toml")
"""Not the package itself: the installed one is what is tested."""


def unpacked(folder: Path) -> Path:
    """Return the folder of the tests; pip downloads them once."""
    version = importlib.metadata.version("celery")
    top = f"celery-{version}"
    root = folder / top
    if not (root / "t" / "integration").exists():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input"]
        wanted = ["--no-deps", "--no-binary", "celery", "--dest", str(folder), f"celery=={version}"]
        subprocess.run([*pip, "download", *wanted], check=True)
        with tarfile.open(folder / f"{top}.tar.gz") as archive:
            members = [
                each
                for each in archive.getmembers()
                if each.name.removeprefix(f"{top}/").startswith(KEPT)
            ]
            unpack(archive, folder, members)
    return root


def collected(root: Path, env: dict[str, str]) -> list[str]:
    """Return the names of all tests, in the suite's own order."""
    asked = ["--collect-only", "-q", "-p", "no:cacheprovider", "t/integration"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *asked, "--continue-on-collection-errors"],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return [line for line in done.stdout.splitlines() if line.startswith("t/") and "::" in line]
