"""The tasks of the scenarios: each body once with a lock and once as any plain task."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask, Scope, constant, requeue, skip, wait
from celery_lock.signals import lock_conflicted, lock_released
from tests.faults.bodies import BODIES, QUICK, TTL, TryAgain, seconds_of, tell, told, wait_for_fault
from tests.faults.rows import ACKS, CELERY_RETRIES_LOST, LONG_TTL

VISIBILITY = "TEST_VISIBILITY"
SOFT = "TEST_SOFT"
STORE = "TEST_STORE"
FACTS = "TEST_FACTS"
"""A file for what is told of locks."""
CONTROL = "TEST_CONTROL"
"""Which guard of the store is taken away, to see that the matrix notices it."""

TWINS = ("locked", "plain")


# -- the app ------------------------------------------------------------------------------------


def make_app(**conf: Any) -> Any:
    """One app for the workers (by environment) and one for who sends."""
    app: Any = Celery("faults", set_as_current=False)
    ttl = seconds_of(TTL, LONG_TTL)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": seconds_of(VISIBILITY, 60.0),
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "max_connections": 100,
        },
        worker_prefetch_multiplier=1,
        worker_soft_shutdown_timeout=seconds_of(SOFT, 0.0),
        lock_store=os.environ.get(STORE),
        **conf,
    )
    for twin in TWINS:
        base = {"base": LockedTask} if twin == "locked" else {}
        for acks in ACKS:
            options = dict(acks.options)
            if not CELERY_RETRIES_LOST:
                options.pop("retry_on_worker_lost", None)
            app.task(
                _victim,
                name=f"faults.{twin}.{acks.name}",
                bind=True,
                shared=False,
                default_retry_delay=1,
                autoretry_for=(TryAgain,),
                retry_kwargs={"countdown": 0},
                **options,
                **base,
                **_lock(twin, Lock("{key}", ttl=ttl, on_conflict=requeue(constant(0.3)))),
            )
        if twin == "locked":
            app.task(
                _victim,
                name="faults.skipping.late",
                bind=True,
                shared=False,
                base=LockedTask,
                acks_late=True,
                lock=Lock("{key}", ttl=ttl, on_conflict=skip()),
            )
        if twin == "locked":
            for name, body, policy in (("early", _victim, None), ("next", _next, wait(30))):
                app.task(
                    body,
                    name=f"faults.across.{name}",
                    bind=True,
                    shared=False,
                    base=LockedTask,
                    lock=Lock(
                        "across:{key}", ttl=ttl, scope=Scope.ACROSS_RETRIES, on_conflict=policy
                    ),
                )
        app.task(
            _next,
            name=f"faults.{twin}.next",
            bind=True,
            shared=False,
            **base,
            **_lock(twin, Lock("{key}", ttl=ttl, on_conflict=wait(30))),
        )
    return app


@lock_conflicted.connect(weak=False)
@lock_released.connect(weak=False)
def _note_fact(sender: Any, fact: Any, **_: Any) -> None:
    if FACTS in os.environ:
        tell(os.environ[FACTS], type(fact).__name__, key=fact.key, task_id=fact.task_id)


def _lock(twin: str, lock: Lock) -> dict[str, Any]:
    return {"lock": lock} if twin == "locked" else {}


def _victim(self: Any, book: str, key: str, body: str, seconds: float = 0.0) -> None:
    """Ends in the way that is asked for; when it comes again, it simply runs."""
    with told(self, book, key, seconds) as note:
        if note.again:
            time.sleep(QUICK)
            note.how = "done"
            return
        BODIES[body](self, note)


def _next(self: Any, book: str, key: str, seconds: float) -> None:
    """Waits for the key, and has it for a while."""
    with told(self, book, key) as note:
        wait_for_fault(seconds)
        note.how = "done"


app = make_app()

if os.environ.get(CONTROL):
    from tests.faults.broken import break_store

    break_store(os.environ[CONTROL])
