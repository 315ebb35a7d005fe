"""How tests came out with a lock, against how they came out without one."""

from __future__ import annotations

from collections.abc import Mapping

from tools.celery_suite.known import KNOWN
from tools.celery_suite.running import Outcome, Suite
from tools.celery_suite.settings import Setting

__all__ = ["compare"]

WELL = ("passed", "skipped", "xfailed")


def compare(
    suite: Suite, setting: Setting, plain: Mapping[str, Outcome], locked: Mapping[str, Outcome]
) -> int:
    """Print what differs; return how many differences nobody knows the cause of."""
    other = [name for name in locked if _differs(plain[name], locked[name])]
    again = suite.run(setting, other) if other else {}
    unknown = 0
    for name in other:
        first, second = locked[name], again[name]
        known = next((one for one in KNOWN if one.covers(name, setting)), None)
        if not _differs(plain[name], second):
            print(f"    once {first.came}, once as plain: {name}: {first.said}")
        elif known is not None:
            print(f"    known: {name}: {known.cause}")
        else:
            print(f"    UNKNOWN: {name}: {plain[name].came} without a lock, {second.came}:")
            print(f"        {second.said}")
            unknown += 1
    return unknown


def _differs(plain: Outcome, locked: Outcome) -> bool:
    # one that fails in both, or in plain Celery alone, says nothing of a lock
    return plain.came in WELL and plain.came != locked.came
