"""The tasks of `pool_app` in a worker whose main process has used the lock itself, and does still.

What it has started by then, threads above all, does not live on in the children of its pool.
"""

from __future__ import annotations

import os
from typing import Any

from celery import signals

from celery_lock.app.locks import locks_of
from celery_lock.engine.locker import Ask
from celery_lock.events import Subject
from celery_lock.model import Claim
from tests.integration.apps import pool_app
from tests.integration.apps.history import tell

app = pool_app.make_app()
app.finalize()


def _touch(name: str) -> None:
    claim = Claim(key=f"touched:{name}", holder=f"main#node#{os.getpid()}#{name}", ttl=pool_app.TTL)
    tell(
        "touched",
        name,
        token=locks_of(app).locker.claim(Ask(claim, Subject("main", name, name))).lease.token,
    )


_touch("at import")


@signals.worker_ready.connect(weak=False)
def _later(**_: Any) -> None:
    """From now on children are forked from a process that renews a lease."""
    _touch("when ready")
