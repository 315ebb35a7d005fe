"""Who has a key, as a refused claim and a look at it are answered; pure, as the transitions."""

from __future__ import annotations

from ..model import Held, HeldPermit, Met
from .key_state import Interval, KeyState, Permit

__all__ = ["held"]


def held(
    key: str,
    state: KeyState,
    whom: Permit | None,
    met: Met,
    clock: Interval,
    *,
    counts: int = 0,
    task_id: str | None = None,
) -> Held:
    """Show a permit, and all that are taken.

    `counts`: until when something else keeps the claim out. `task_id`: whose own floor is none.
    """
    lo, hi = clock
    taken = [permit for permit in state.permits if permit.free_at(lo) > lo]
    barring = [permit.free_at(lo, task_id) for permit in taken if permit.free_at(lo, task_id) > lo]
    shown = whom or next(iter(state.permits), None)
    return Held(
        key=key,
        holder="" if shown is None else shown.holder,
        since=0.0 if shown is None else shown.since / 1e6,
        now=hi / 1e6,
        # by a clock that is known roughly it may be over, and not yet for certain
        expires_in=max(min(barring, default=hi) - hi, counts - hi, 0) / 1e6,
        live=shown is not None and shown.expiry > lo,
        publication="" if shown is None else shown.publication,
        token=0 if shown is None else shown.token,
        met=met,
        mark=str(hi),
        holders=tuple(
            HeldPermit(
                permit.holder,
                permit.since / 1e6,
                max(permit.free_at(lo) - hi, 0) / 1e6,
                permit.expiry > lo,
                permit.publication,
                permit.token,
                permit.slot,
                permit.unconfirmed and permit.expiry > lo,
            )
            for permit in taken
        ),
    )
