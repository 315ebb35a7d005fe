"""Plays each tool of a list in its environment, one after the other, and says what was wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tests.beside.environment import is_there
from tests.beside.install import install
from tests.beside.tools import Tool
from tests.beside.versions import version_of
from tests.services.survivors import end_survivors, mark_this_run

__all__ = ["each_tool"]


def each_tool(
    tools: Iterable[Tool], argv: Sequence[str], play: Callable[[Tool], Sequence[str]]
) -> int:
    """Return how much was wrong.

    `argv`: names of tools, none for all; `--install` makes the environments that are missing.
    """
    mark_this_run()
    known = list(tools)
    count = 0
    for tool in [tool for tool in known if tool.name in argv] or known:
        if "--install" in argv:
            install(tool)
        if not is_there(tool):
            print(f"{tool.name}: not installed, see --install")
            continue
        wrong = play(tool)
        said = f"{tool.name} ({version_of(tool)}): {len(wrong)} wrong"
        print("\n    ".join([said, *wrong]), flush=True)
        count += len(wrong)
    return count + len(end_survivors())
