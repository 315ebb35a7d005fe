"""How tests came out with a lock, against how they came out without one."""

from __future__ import annotations

from collections.abc import Mapping

from tools.celery_suite.known import KNOWN
from tools.celery_suite.running import Outcome, Suite
from tools.celery_suite.settings import Setting

__all__ = ["WELL", "compare"]

WELL = ("passed", "skipped", "xfailed")
"""How a test comes out that says nothing against anybody."""


def compare(
    suite: Suite,
    setting: Setting,
    plain: Mapping[str, Outcome] | None,
    locked: Mapping[str, Outcome],
) -> int:
    """Print what differs; return how many differences nobody knows the cause of.

    `plain` may be `None`, for tests of which it is known that they come out well.
    """
    if plain is None:
        plain = {n: one if one.came in WELL else Outcome("passed") for n, one in locked.items()}
    other = [name for name in locked if _differs(plain[name], locked[name])]
    again = suite.run(setting, other) if other else {}
    unknown = 0
    for name in other:
        first, second = locked[name], again[name]
        known = next((one for one in KNOWN if one.covers(name, setting)), None)
        if not _differs(plain[name], second):
            print(f"    once {first.came}, once as plain: {name}: {first.line}")
        elif known is not None:
            print(f"    known: {name}: {known.cause}")
        else:
            print(f"    UNKNOWN: {name}: {plain[name].came} without a lock, {second.came}:")
            print(f"        {second.line}")
            unknown += 1
    return unknown


def _differs(plain: Outcome, locked: Outcome) -> bool:
    # one that fails in both, or in plain Celery alone, says nothing of a lock
    return plain.came in WELL and plain.came != locked.came
