"""The same tasks three times: of celery-once, of celery-singleton, and as one moves them here."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery
from celery_once import QueueOnce
from celery_singleton import Singleton

from celery_lock import Lock, LockConflict, LockedTask, Scope, fail, skip, wait

FINISHED, STARTED = Scope.UNTIL_FINISHED, Scope.UNTIL_STARTED


def statement(user_id: int, reason: str = "") -> str:
    """The body of most of them."""
    return f"{user_id} {reason}"


def slow(seconds: float) -> float:
    time.sleep(seconds)
    return time.time()


def retries(self: Any, user_id: int) -> int:
    """It fails once."""
    if not self.request.retries:
        raise self.retry(countdown=1.5)
    return int(self.request.retries)


ONCE: dict[str, dict[str, Any]] = {
    "all": {},
    "keys": {"once": {"keys": ["user_id"]}},
    "no keys": {"once": {"keys": []}},
    "graceful": {"once": {"graceful": True}},
    "timeout": {"once": {"timeout": 1}},
}
SINGLETON: dict[str, dict[str, Any]] = {
    "all": {},
    "one": {"unique_on": "user_id"},
    "several": {"unique_on": ["user_id", "reason"]},
    "raises": {"raise_on_duplicate": True},
    "expiry": {"lock_expiry": 1},
}
OURS: dict[str, Lock] = {
    "all": Lock(scope=FINISHED, on_conflict=fail()),
    "keys": Lock("keys:{user_id}", scope=FINISHED, on_conflict=fail()),
    "no keys": Lock("no-keys", scope=FINISHED, on_conflict=fail()),
    "graceful": Lock("graceful:{user_id}", scope=FINISHED, on_conflict=skip()),
    "timeout": Lock("timeout:{user_id}", scope=FINISHED, queue_ttl=1, on_conflict=fail()),
    "waits": Lock("waits:{user_id}", scope=FINISHED, on_conflict=wait(10)),
    "one": Lock("one:{user_id}", scope=FINISHED),
    "several": Lock("several:{user_id}:{reason}", scope=FINISHED),
    "default": Lock(scope=FINISHED),
}


def make_app(**conf: Any) -> Any:
    """One app for the worker (by environment) and one for the test that sends."""
    app: Any = Celery("moving", set_as_current=False)
    url = conf.get("broker_url") or os.environ.get("CELERY_BROKER_URL", "")
    app.conf.update(
        broker_connection_retry_on_startup=True,
        ONCE={"backend": "celery_once.backends.Redis", "settings": {"url": url}},
        singleton_backend_url=url,
        **conf,
    )
    for name, options in ONCE.items():
        app.task(statement, name=f"once.{name}", base=QueueOnce, shared=False, **options)
    for name, options in SINGLETON.items():
        app.task(statement, name=f"singleton.{name}", base=Singleton, shared=False, **options)
    for name, lock in OURS.items():
        app.task(statement, name=f"ours.{name}", base=LockedTask, shared=False, lock=lock)
    for who, base, options in (
        ("once", QueueOnce, {}),
        ("singleton", Singleton, {}),
        ("ours", LockedTask, {"lock": Lock(scope=FINISHED, on_conflict=fail())}),
    ):
        app.task(slow, name=f"{who}.slow", base=base, shared=False, **options)
        options = {**options, "bind": True, "shared": False}
        app.task(retries, name=f"{who}.retries", base=base, **options)
    unlocks = {"unlock_before_run": True}
    app.task(slow, name="once.starts", base=QueueOnce, shared=False, once=unlocks)
    lock = Lock("starts", scope=STARTED, on_conflict=fail())
    app.task(slow, name="ours.starts", base=LockedTask, shared=False, lock=lock)
    return app


DUPLICATE = (LockConflict,)

app = make_app()
