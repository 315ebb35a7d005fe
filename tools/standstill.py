"""Runs tests on a machine that stands still now and then, as a busy one does.

python -m tools.standstill tests/integration -n 3   all processes stop for about a second, at times
python -m tools.standstill --seed 5 --long 0.5 tests/contract

A test that fails here takes a time for granted: that two calls follow each other at once, that a
state lasts, or that a child is quick. Mend it with an order of events, or with a note of when the
machine stood still; a longer sleep makes the failure rarer, and leaves it there.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil

from tests.services.freezing import freeze

__all__ = ["main", "stand_still"]

STARTING = 5.0
"""Seconds before the first standstill: who has not begun takes nothing for granted yet."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return what pytest returns."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=random.randrange(1000))
    parser.add_argument("--every", type=float, default=6.0, help="seconds between two, on average")
    parser.add_argument(
        "--long", type=float, default=1.0, help="seconds, from half to once and a half"
    )
    options, rest = parser.parse_known_args(argv)
    chance = random.Random(options.seed)
    count = 0
    with subprocess.Popen([sys.executable, "-m", "pytest", *rest]) as tests:
        try:
            pause = STARTING
            while _runs_on(tests, pause):
                stand_still(tests.pid, options.long * chance.uniform(0.5, 1.5))
                count += 1
                pause = chance.expovariate(1 / options.every)
        finally:
            tests.terminate()
    print(f"the machine stood still {count} times, with --seed {options.seed}")
    return tests.returncode


def stand_still(pid: int, seconds: float) -> None:
    """Stop a process and all below it for so long, but for those that are stopped already."""
    family = _family(pid)
    try:
        freeze(family)
        time.sleep(seconds)
    finally:
        for process in reversed(family):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _runs_on(tests: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        tests.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _family(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        for one in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                if one.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                    found.append(one.pid)
    return found


if __name__ == "__main__":
    sys.exit(main())
