"""The app that is monitored: a job with each policy, and its log in the form that is tried."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from celery import Celery
from celery.signals import setup_logging

from celery_lock import Lock, LockConflict, LockedTask, constant, fail, requeue, skip

URL = os.environ.get("TEST_REDIS", "redis://127.0.0.1:6379")
FORM = os.environ.get("TEST_LOGS", "")

app = Celery("shop", broker=URL, backend=URL)
app.conf.update(task_track_started=True, broker_connection_retry_on_startup=True)

POLICIES: dict[str, Any] = {
    "holds": fail(),
    "requeue": requeue(constant(0.3)),
    "skip": skip(),
    "fail": fail(),
}


def _job(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


for _name, _policy in POLICIES.items():
    app.task(
        base=LockedTask,
        name=_name,
        shared=False,
        throws=(LockConflict,),
        lock=Lock("shop:job", on_conflict=_policy),
    )(_job)


def _formatter() -> logging.Formatter:
    if FORM == "structlog":
        import structlog

        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter("%(levelname)s %(message)s")


if FORM:

    @setup_logging.connect
    def begin_logging(**_: Any) -> None:
        """Write each record as one object of JSON."""
        handler = logging.StreamHandler()
        handler.setFormatter(_formatter())
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
