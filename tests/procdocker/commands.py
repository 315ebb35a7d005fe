"""Commands that were written for a container, run on this machine."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path


def on_this_machine(command: list[str]) -> list[str]:
    """The same command by this interpreter, whatever is on the path."""
    known = {"celery": [sys.executable, "-m", "celery"], "python": [sys.executable]}
    return [*known.get(command[0], command[:1]), *command[1:]] if command else []


def execute(cmd: str | list[str], cwd: Path, env: dict[str, str]) -> tuple[int, bytes]:
    """Run it to its end; return its exit status and all that it said."""
    words = shlex.split(cmd) if isinstance(cmd, str) else list(cmd)
    done = subprocess.run(
        on_this_machine(words),
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout
