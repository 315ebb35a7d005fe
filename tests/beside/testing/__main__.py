"""Run tests with celery.contrib.pytest, freezegun and time-machine, in an environment of their own.

python -m tests.beside.testing              in its environment, if that was made
python -m tests.beside.testing --install    make the environment first
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.beside.environment import ROOT, is_there, python_of
from tests.beside.install import install
from tests.beside.tools import Tool

TOOL = Tool("testing", ("pytest>=8.4", "freezegun>=1.5", "time-machine>=2.16"))
OURS = Path(__file__).parent / "users_tests.py"


def main() -> int:
    """Return 0 when all tests of a user of these libraries pass."""
    if "--install" in sys.argv:
        install(TOOL)
    if not is_there(TOOL):
        print("testing: not installed, see make beside")
        return 0
    return subprocess.run(
        [
            *(str(python_of(TOOL)), "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "celery.contrib.pytest", "--noconftest", "-c", os.devnull),
            *("--rootdir", str(OURS.parent), str(OURS)),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
