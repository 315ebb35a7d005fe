"""`python -m examples.scheduled_job`: a worker and two beats, for a few slots."""

from __future__ import annotations

import re
import sys
import time
from collections import defaultdict
from pathlib import Path

from examples.ground import Ground, play

from .app import SLOT

APP = "examples.scheduled_job.app"
LATE = {"first": 0.0, "second": 1.5}
"""The beats, and by how many seconds the clock of each one's machine is behind."""
SLOTS = 2
"""How many slots are watched."""

_SENT = re.compile(r"\[([\d-]+ [\d:]+),(\d+): .*Sending due task report")


def story(ground: Ground) -> bool:
    runs = ground.folder / "runs"
    runs.touch()
    ground.workers(APP, "A", concurrency=2, SCHEDULED_JOB_RUNS=str(runs))
    for beat, late in LATE.items():
        argv = ["-A", APP, "beat", "--loglevel", "INFO", "--schedule", str(ground.folder / beat)]
        ground.start(beat, argv, BEAT_NAME=beat, BEAT_CLOCK_LATE=str(late))
    print(f"Two beats fire a job for each slot of {SLOT} s; the clock of the second is 1.5 s late.")

    slots = ground.wait_for(f"{SLOTS} slots", lambda: watched(ground))
    # the worker has done with the last message when one more slot could have begun
    ground.wait_for("the last run", lambda: time.time() > (slots[-1] + 1) * SLOT)
    return tell(slots, sent(ground), ran(runs))


def watched(ground: Ground) -> list[int]:
    """Return the first slots for which both beats have fired; nothing while there are too few."""
    by_both = [slot for slot, times in sorted(sent(ground).items()) if len(times) == len(LATE)]
    return by_both[:SLOTS] if len(by_both) >= SLOTS else []


def sent(ground: Ground) -> dict[int, dict[str, float]]:
    """Return when each beat has fired for each slot."""
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for beat, late in LATE.items():
        for match in filter(None, map(_SENT.match, ground.log(beat))):
            at = time.mktime(time.strptime(match[1], "%Y-%m-%d %H:%M:%S")) + int(match[2]) / 1000
            found[int((at - late) // SLOT)][beat] = at
    return found


def ran(runs: Path) -> dict[int, list[str]]:
    """Return by whom the runs of each slot were sent."""
    found: dict[int, list[str]] = defaultdict(list)
    for line in runs.read_text(encoding="utf-8").splitlines():
        at, beat = line.split()
        found[int(float(at) // SLOT)].append(beat)
    return found


def tell(slots: list[int], sent: dict[int, dict[str, float]], ran: dict[int, list[str]]) -> bool:
    """Print what became of each slot; return whether every one of them had one run."""
    print("\nslot        first fires   second fires   runs")
    for slot in slots:
        begin = slot * SLOT
        after = "".join(f"{f'+{sent[slot][beat] - begin:.2f} s':>14}" for beat in LATE)
        by = ", ".join(f"of the {beat} beat" for beat in ran[slot])
        print(f"{time.strftime('%H:%M:%S', time.localtime(begin))}{after}   {len(ran[slot])}: {by}")
    return all(len(ran[slot]) == 1 for slot in slots)


if __name__ == "__main__":
    sys.exit(play(story))
