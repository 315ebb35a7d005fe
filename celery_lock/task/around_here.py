"""The locked bodies around a place, for a `hold()` that is entered there."""

from __future__ import annotations

from typing import Any

from celery._state import get_current_task

from ..engine import stay
from ..engine.locker import Grant, Locker
from ..model import Held
from .holding import Holding, around

__all__ = ["body_here", "is_around"]


def is_around(held: Held) -> bool:
    """Bodies and blocks of `hold()` around this place have the key: they cannot end while it waits.

    With several permits they have all of them.
    """
    leases = [one.lease for one in stay.stays_around()]
    holders = {lease.holder for lease in leases if lease is not None}
    return holders.union(*(one.holders for one in around())).issuperset(held.in_the_way)


def body_here() -> object:
    """Return what stands for the innermost locked body that runs here; `None`: there is none."""
    task: Any = get_current_task()  # the stubs say that there is always one
    return None if task is None else Holding.of(task.request)


def _grant_of(key: str, locker: Locker) -> Grant | None:
    """Return the grant of `key` that a body around this very place has; `None`: there is none."""
    grants = (holding.has(key, locker) for holding in around())
    return next((grant for grant in grants if grant is not None), None)


stay.bodies = stay.Bodies(body_here, _grant_of)
