"""One of the programs here is run as a process of its own."""

from __future__ import annotations

import subprocess
import sys

from tests.services.worker import CHECKOUT


def run(program: str, *args: str) -> str:
    """Return what the program of this name has written; its exit status has to be 0."""
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.{program}", *args],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
