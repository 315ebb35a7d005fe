"""The Celery app: a shop's catalogue is fetched by one task at a time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask

from .policy import patience

app = Celery("custom_policy")


@app.task(bind=True, base=LockedTask, lock=Lock("catalogue:{shop_id}", on_conflict=patience))
def fetch(self: Any, shop_id: int) -> int:
    """Fetch a catalogue; return the number of its articles."""
    self.update_state(state="FETCHING")
    # stands for a slow shop: it has sent everything when the story says so
    while not Path(os.environ["CUSTOM_POLICY_FOLDER"], "sent").exists():
        time.sleep(0.02)
    return 100 * shop_id


@app.task
def announce(articles: int) -> str:
    return f"{articles} articles are in the shop"
