"""Which version of a tool was tried."""

from __future__ import annotations

import subprocess

from tests.beside.environment import python_of
from tests.beside.tools import Tool

__all__ = ["version_of"]


def version_of(tool: Tool) -> str:
    """The versions of its distributions, as its environment has them; a tool of ours has none."""
    if not tool.modules:
        return ""
    ask = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"
    done = subprocess.run(
        [str(python_of(tool)), "-c", ask, *tool.modules], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
