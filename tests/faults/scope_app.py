"""The tasks of the scopes' rows: they note what they do, and stop where a fault is to come."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery, signals
from kombu import Exchange, Queue

import celery_lock
from celery_lock import Lock, LockedTask, constant, requeue, skip
from celery_lock.signals import lock_acquired, lock_conflicted
from tests.faults.bodies import tell
from tests.faults.history import read
from tests.faults.scope_rows import QUEUE_TTL, SCOPES, TTL
from tests.integration.apps.dying import be_known
from tests.services.sqs_server import SqsServer

BROKER = "TEST_BROKER"
STORE = "TEST_STORE"
BOOK = "TEST_BOOK"
STOPS = "TEST_STOPS"
"""Where a process stops for a while, at its first message: `prerun`, `acquired`, `body`."""
DIES = "TEST_DIES"
"""Where a publisher kills itself: `before`, `after` the message is sent."""
LIMIT = "TEST_LIMIT"
NO_LOCK = "TEST_NO_LOCK"
ON_STORE_ERROR = "TEST_ON_STORE_ERROR"
ACKS = "TEST_ACKS"
VISIBILITY = 3
QUEUE = "scopes"
FOREVER = 30.0


def make_app(**conf: Any) -> Any:
    """One app for workers, for publishers that die, and for who plays."""
    app: Any = Celery("scopes", set_as_current=False)
    kind = os.environ.get(BROKER, "redis")
    options: dict[str, Any] = {"unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    options["visibility_timeout"] = VISIBILITY
    if kind == "sqs":
        options = SqsServer.options(visibility_timeout=VISIBILITY)
    elif kind == "rabbit":
        options = {"confirm_publish": True}
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options=options,
        worker_prefetch_multiplier=4,
        worker_enable_remote_control=kind == "redis",
        task_ignore_result=True,
        task_acks_late=os.environ.get(ACKS, "late") == "late",
        task_reject_on_worker_lost=os.environ.get(ACKS, "late") == "late",
        task_default_queue=QUEUE,
        task_queues=[Queue(QUEUE, Exchange(QUEUE), QUEUE, queue_arguments=_arguments(kind))],
        lock_store=os.environ.get(STORE),
        **conf,
    )
    known = [one.value for one in celery_lock.Scope]
    for scope in SCOPES:
        lock: Any = None
        if scope in known and not os.environ.get(NO_LOCK):
            lock = Lock(
                f"{scope}:{{key}}",
                scope=scope,
                ttl=TTL,
                queue_ttl=QUEUE_TTL,
                on_conflict=skip(),
                on_store_error=os.environ.get(ON_STORE_ERROR, "requeue"),  # type: ignore[arg-type]
            )
        elif scope not in known:  # of the release before
            lock = Lock(f"{scope}:{{key}}", ttl=TTL, on_conflict=requeue(constant(0.5)))
        app.task(_body, name=scope, bind=True, shared=False, base=LockedTask, lock=lock)
    if "limit" in Lock.__dataclass_fields__:
        limit = int(os.environ.get(LIMIT, "3"))
        lock = Lock("permits:{key}", limit=limit, ttl=TTL, on_conflict=requeue(constant(0.3)))
        app.task(_body, name="limit=3", bind=True, shared=False, base=LockedTask, lock=lock)
    app.task(_busy, name="busy", shared=False)
    return app


def _arguments(kind: str) -> dict[str, Any] | None:
    if kind != "rabbit":
        return None
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "scopes-dead"}


def _body(self: Any, key: str, seconds: float) -> None:
    """A body that notes when it began and ended."""
    about = {"task_id": self.request.id, "key": key, "pid": os.getpid(), "limit": _limit()}
    tell(os.environ[BOOK], "start", **about)
    _stop("body")
    time.sleep(seconds)
    tell(os.environ[BOOK], "end", **about)


def _limit() -> int:
    return int(os.environ.get(LIMIT, "3"))


def _busy(seconds: float) -> None:
    """It keeps a process of the pool."""
    time.sleep(seconds)


def _stop(where: str) -> None:
    if os.environ.get(STOPS) == where and not _has_stopped():
        be_known()
        tell(os.environ[BOOK], "stopped", pid=os.getpid())
        time.sleep(FOREVER)


def _has_stopped() -> bool:
    return any(line["what"] == "stopped" for line in read(Path(os.environ[BOOK])))


@signals.task_prerun.connect(weak=False)
def _before_the_task(task: Any = None, **_: Any) -> None:
    if task is not None and task.name in (*SCOPES, "limit=3"):
        _stop("prerun")


@lock_acquired.connect(weak=False)
def _with_the_key(**_: Any) -> None:
    if os.environ.get(STOPS) == "acquired" and _in_worker():
        _stop("acquired")


@lock_conflicted.connect(weak=False)
def _skipped(fact: Any = None, **_: Any) -> None:
    if _in_worker() and isinstance(fact.decision, skip):
        tell(os.environ[BOOK], "skipped", task_id=fact.task_id, by=fact.holder.task_id)


@signals.worker_process_init.connect(weak=False)
def _forget(**_: Any) -> None:
    _workers.append(os.getpid())


_workers: list[int] = []


def _in_worker() -> bool:
    return bool(_workers)


@signals.before_task_publish.connect(weak=False)
def _before_it_is_sent(**_: Any) -> None:
    if os.environ.get(DIES) == "before":
        os.kill(os.getpid(), signal.SIGKILL)


@signals.after_task_publish.connect(weak=False)
def _after_it_is_sent(**_: Any) -> None:
    if os.environ.get(DIES) == "after":
        os.kill(os.getpid(), signal.SIGKILL)


if BOOK in os.environ:
    app = make_app()
