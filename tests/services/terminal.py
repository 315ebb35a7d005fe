"""A terminal at which a command asks, and somebody has typed the answer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["at_a_terminal"]


def at_a_terminal(
    argv: Sequence[str | Path],
    typed: bytes,
    *,
    env: dict[str, str],
    cwd: Path | None = None,
    timeout: float = 60.0,
) -> tuple[int, str]:
    """Return the exit status of a command, and all that the terminal shows after its end."""
    import pty  # not on Windows

    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed)  # a terminal keeps it until somebody reads it
        try:
            done = subprocess.run(
                argv,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=env,
                cwd=cwd,
                timeout=timeout,
                check=False,
            )
        finally:
            os.close(theirs)
        return done.returncode, _all_of(ours).decode()
    finally:
        os.close(ours)


def _all_of(terminal: int) -> bytes:
    """One read may give the echo of what was typed, and nothing of what was said."""
    said = b""
    while True:
        try:
            said += os.read(terminal, 65_536)
        except OSError:  # nobody has the other end any more, and all has been read
            return said
