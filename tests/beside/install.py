"""The environment of a tool, made by pip, since the tools contradict each other."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

from tests.beside.environment import ENVIRONMENTS, ROOT, python_of
from tests.beside.tools import Tool

__all__ = ["install"]


def install(tool: Tool) -> None:
    """Make the environment of a tool, unless it is there as its row says."""
    if not tool.requires:
        return
    celery = tool.celery or f"=={importlib.metadata.version('celery')}"
    wanted = [f"celery[redis]{celery}", *tool.requires]
    stamp = ENVIRONMENTS / tool.name / "installed.txt"
    if stamp.exists() and stamp.read_text().splitlines() == wanted:
        return
    print(f"installing {', '.join(tool.requires)} into {stamp.parent.relative_to(ROOT)} ...")
    stamp.parent.mkdir(parents=True, exist_ok=True)
    make = ["sh", str(ROOT / "tools" / "make_venv.sh"), sys.executable, str(stamp.parent)]
    pip = [str(python_of(tool)), "-m", "pip", "-qq", "--disable-pip-version-check"]
    subprocess.run(make, check=True)
    subprocess.run([*pip, "--no-input", "install", *wanted], check=True)
    stamp.write_text("\n".join(wanted) + "\n")
