"""Who is still there when the tests are over: nobody may be."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

import psutil

MARK = "CELERY_LOCK_TEST_RUN"
"""A variable that every process started by this run inherits, also one that left its parent."""


def mark_this_run() -> None:
    """Give this process's descendants a mark of their own. Once, before the first of them."""
    os.environ[MARK] = secrets.token_hex(8)


def survivors() -> list[psutil.Process]:
    """The living descendants of this process, orphans too."""
    mark = os.environ.get(MARK)
    family = {child.pid for child in psutil.Process().children(recursive=True)}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.pid in family or (mark and process.environ().get(MARK) == mark):
                found.append(process)
    return found


def was_started_by(process: psutil.Process, folder: Path, variable: str, mark: str) -> bool:
    """The process lives, and works below `folder`, or inherited `variable` with this value.

    A Redis overwrites its environment with its title, but not the folder that it works in.
    """
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        below = folder in Path(process.cwd()).parents
        return below or process.environ().get(variable) == mark
    except psutil.Error:  # it has ended, or is somebody else's
        return False


def end_survivors() -> list[str]:
    """Kill whoever is left, and return a line about each."""
    lines = []
    for process in survivors():
        with contextlib.suppress(psutil.Error):
            lines.append(f"{process.pid}: {' '.join(process.cmdline()) or process.name()}")
            process.kill()
    return lines
