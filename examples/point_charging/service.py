"""The same two tasks as a service that runs on, for docker-compose.yml.

Every few seconds beat asks for a rush of top-ups, with the lock and without; when a rush is done,
a worker compares the books with the history, and says what is missing.
"""

from __future__ import annotations

import os
import random
from collections.abc import Collection
from pathlib import Path
from typing import Any

from celery import chord
from celery.signals import beat_init
from celery.utils.log import get_task_logger

from celery_lock import Lock, LockedTask, skip

from .app import app, top_up_locked, top_up_plain
from .points import Points
from .story import FIRST_BALANCE

PLAIN, LOCKED = range(1, 6), range(101, 106)
"""The users whose points are topped up without a lock, and with one."""
TOP_UPS = 15
"""How many of each there are in a rush."""

logger = get_task_logger(__name__)

app.conf.beat_schedule = {
    "rush": {"task": f"{__name__}.rush", "schedule": 5.0, "options": {"expires": 5}},
}
app.conf.beat_sync_every = 1  # beat writes its schedule down each time: its health check looks


@beat_init.connect
def open_books(**_: Any) -> None:
    """Make the database, once: there is one beat, and nobody needs it before beat has sent."""
    points = books()
    points.create()
    points.add([*PLAIN, *LOCKED], FIRST_BALANCE)


# A second beat would add nothing: `at_least` keeps its message out.
@app.task(base=LockedTask, lock=Lock("point-charging:rush", at_least=4, on_conflict=skip()))
def rush() -> None:
    """Send top-ups for both kinds of users, all at once, and look at the books afterwards."""
    top_ups = [
        task.si(random.getrandbits(48), random.choice(users), random.randint(1, 100))
        for task, users in ((top_up_plain, PLAIN), (top_up_locked, LOCKED))
        for _ in range(TOP_UPS)
    ]
    chord(top_ups, report.si()).delay()


@app.task
def report() -> dict[str, int]:
    """Say how many points are missing, of each kind of users."""
    lost = {"without a lock": missing(PLAIN), "with LockedTask": missing(LOCKED)}
    logger.info("points lost: %s", ", ".join(f"{n} {kind}" for kind, n in lost.items()))
    return lost


def missing(users: Collection[int]) -> int:
    """Return how many points were added and are not in the balances."""
    points = books()
    found = sum(balance for user, balance in points.balances().items() if user in users)
    added = sum(h.after - h.before for h in points.history() if h.user_id in users)
    return len(users) * FIRST_BALANCE + added - found


def books() -> Points:
    return Points(Path(os.environ["POINT_CHARGING_DATABASE"]))
