"""`python -m examples.scheduled_job`: a worker and two beats, for a few due times."""

from __future__ import annotations

import re
import sys
import time
from collections import defaultdict
from pathlib import Path

from examples.demo import Demo, play

from .app import EVERY

APP = "examples.scheduled_job.app"
LATE = {"first": 0.0, "second": 1.5}
"""The beats, and by how many seconds the clock of each one's machine is behind."""
WATCHED = 2
"""How many due times are watched."""

_SENT = re.compile(r"\[([\d-]+ [\d:]+),(\d+): .*Sending due task report")


def story(demo: Demo) -> bool:
    runs = demo.folder / "runs"
    runs.touch()
    demo.workers(APP, "A", concurrency=2, SCHEDULED_JOB_RUNS=str(runs))
    for beat, late in LATE.items():
        argv = ["-A", APP, "beat", "--loglevel", "INFO", "--schedule", str(demo.folder / beat)]
        demo.start(beat, argv, BEAT_NAME=beat, BEAT_CLOCK_LATE=str(late))
    print(f"Two beats fire a job every {EVERY} s; the clock of the second is 1.5 s late.")

    numbers = demo.wait_for(f"{WATCHED} due times", lambda: watched(demo))
    # the worker has done with the last message when the job could have been due once more
    demo.wait_for("the last run", lambda: time.time() > (numbers[-1] + 1) * EVERY)
    return show(numbers, sent(demo), ran(runs))


def watched(demo: Demo) -> list[int]:
    """Return the first due times for which both beats have fired, by their numbers since 1970.

    Nothing is returned while there are too few.
    """
    by_both = [number for number, times in sorted(sent(demo).items()) if len(times) == len(LATE)]
    return by_both[:WATCHED] if len(by_both) >= WATCHED else []


def sent(demo: Demo) -> dict[int, dict[str, float]]:
    """Return when each beat has fired for each due time."""
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for beat, late in LATE.items():
        for match in filter(None, map(_SENT.match, demo.log(beat))):
            at = time.mktime(time.strptime(match[1], "%Y-%m-%d %H:%M:%S")) + int(match[2]) / 1000
            found[int((at - late) // EVERY)][beat] = at
    return found


def ran(runs: Path) -> dict[int, list[str]]:
    """Return by whom the runs of each due time were sent."""
    found: dict[int, list[str]] = defaultdict(list)
    for line in runs.read_text(encoding="utf-8").splitlines():
        at, beat = line.split()
        found[int(float(at) // EVERY)].append(beat)
    return found


def show(numbers: list[int], sent: dict[int, dict[str, float]], ran: dict[int, list[str]]) -> bool:
    """Print what became of each due time; return whether every one of them had one run."""
    print("\ndue         first fires   second fires   runs")
    for number in numbers:
        due = number * EVERY
        after = "".join(f"{f'+{sent[number][beat] - due:.2f} s':>14}" for beat in LATE)
        by = ", ".join(f"of the {beat} beat" for beat in ran[number])
        print(f"{time.strftime('%H:%M:%S', time.localtime(due))}{after}   {len(ran[number])}: {by}")
    return all(len(ran[number]) == 1 for number in numbers)


if __name__ == "__main__":
    sys.exit(play(story))
