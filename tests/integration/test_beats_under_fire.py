"""Three beats and a worker under fire, for half a minute; `make beats` does it for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.beats import plan as plans
from tests.beats.__main__ import run
from tests.beats.entries import ENTRIES
from tests.beats.kinds import KINDS
from tests.beats.report import report

SECONDS = 32.0
CALM = 4.0
"""Seconds at the end in which nothing is broken: longer than any claim lives here."""
FAULTS = {
    plans.KILL,
    plans.DIE_CLAIMED,
    plans.DIE_PUBLISHED,
    plans.FAIL_PUBLISH,
    plans.CLOCK,
    plans.STORE_KILL,
}
INTERVALS = tuple(entry for entry in ENTRIES if not entry.by_the_clock)


@pytest.mark.timeout(180)
def test_beats_that_die_and_a_store_that_dies_lose_no_slot_and_repeat_none(
    redis_binary: str, tmp_path: Path
) -> None:
    verdict = run(
        redis_binary,
        KINDS["locked"],
        tmp_path,
        seconds=SECONDS,
        seed=5,
        only=FAULTS,
        entries=INTERVALS,
        calm=CALM,
    )

    said = "\n".join(report(verdict))
    assert verdict.wrong == (), said
    assert verdict.kills, said
    assert verdict.injected, said
    assert verdict.outages == 1, said
