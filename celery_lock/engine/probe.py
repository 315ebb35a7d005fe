"""How a store that has hung is asked whether it answers again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import StoreError, StoreUnavailable
from ..model import Lease, LockStore, Outcome
from ..model.clock import Clock

__all__ = ["COSTLY", "NO_KEY", "Shut", "cause_of", "probed"]

COSTLY = 0.1
"""The part of the deadline from which on a call that failed has cost its caller too much: a hundred
cheaper ones cost ten deadlines. More: a store that is slow to refuse holds up each task. Less: one
that refuses is probed for nothing, where the machine is slow."""

_IN_FULL = 4
"""One probe of so many has the whole deadline, and the others half of it: they find out sooner
that a store is back, and that one lets a store be used that needs so long for each answer."""

NO_KEY = "celery-lock#breaker#0#probe"
"""The holder of a lease that nobody has, and what is asked about after a call about no one key.
To renew it changes nothing, and takes a claim's way."""


@dataclass(eq=False)
class Shut:
    """What is known of a store, or of a part of it, that has hung."""

    key: str
    """That the call was about: a probe asks for the same."""
    cause: str
    """Why the last call to it got no answer."""
    process: object
    """Who has found out; a child that was forked finds out by itself."""
    probes: int = 0
    """How many there were: each part has its own long ones, however many others are shut."""


def cause_of(error: StoreError) -> str:
    """Return what a message says of why the store is not asked."""
    return error.cause if isinstance(error, StoreUnavailable) else str(error)


def probed(store: LockStore, shut: Sequence[Shut], deadline: float, clock: Clock) -> list[bool]:
    """Ask all at once, so that one that hangs holds up no other; say of each whether it answers.

    A store that refuses has answered, unless it needs long for that.
    """
    for one in shut:
        one.probes += 1
    within = deadline / (1 if any(one.probes % _IN_FULL == 0 for one in shut) else 2)
    probe: Callable[[str, float], object] | None = getattr(store, "probe", None)
    began = clock()
    try:
        if probe is not None:
            for one in shut:
                probe(one.key, within)
            return [True] * len(shut)
        nobodys = [(Lease(one.key, NO_KEY, 1), 1.0) for one in shut]
        outcomes = store.renew(nobodys, within=within)
        return [outcome is not Outcome.UNKNOWN for outcome in outcomes]
    except StoreError as error:
        soon = clock() - began < COSTLY * deadline
        if soon and not isinstance(error, StoreUnavailable):
            return [True] * len(shut)
        if len(shut) == 1:  # of several it does not say whose cause it is
            shut[0].cause = cause_of(error)
        return [False] * len(shut)
