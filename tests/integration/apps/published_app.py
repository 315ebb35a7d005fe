"""Tasks whose publisher takes the lease, and whose worker has the same lock, another one, or none.

TEST_SIDE=worker: what the worker declares; otherwise it is what the publisher declares.
"""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, signals
from celery.exceptions import Ignore, Reject

from celery_lock import Lock, LockedTask
from tests.integration.apps.dying import die, see_deaths_soon
from tests.integration.apps.history import tell

STARTED, FINISHED = "until_started", "until_finished"
LOCKS: dict[str, tuple[Any, Any]] = {
    "started": (STARTED, STARTED),
    "finished": (FINISHED, FINISHED),
    "none": (FINISHED, None),
    "place": (STARTED, None),
    "running": (FINISHED, "while_running"),
    "mixed": (STARTED, FINISHED),
    "both": ([STARTED, "while_running"], [STARTED, "while_running"]),
    "unknown": (FINISHED, ...),
}
"""Of each task the scope at its publisher, and at its worker; `...`: that one does not know it."""


class Hooked(LockedTask):
    """A task whose author's hook may raise before the body."""

    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        if args[1:] == ("raise before",) or args[1:] == ["raise before"]:
            raise ValueError("not ready")


def body(self: Any, job: str, does: str = "return") -> str:
    """Do one thing that ends a run."""
    tell("start", job)
    if does == "raise":
        raise ValueError("no")
    if does == "kill":
        die()
    if does == "ignore":
        raise Ignore
    if does == "reject":
        raise Reject("no more")
    if does == "retry" and self.request.retries < 2:
        raise self.retry(countdown=0, max_retries=3)
    if does == "replace" and not self.request.replaced_task_nesting:
        raise self.replace(self.s(job, does))
    if does == "sleep":
        time.sleep(1)
    tell("end", job)
    return job


def lock_of(name: str, scope: Any) -> Any:
    """The lock of a task, or the list of its locks."""
    if isinstance(scope, list):
        return [lock_of(name, each) for each in scope]
    return Lock(f"{name}:{{job}}", scope=scope, ttl=60.0)


def make_app(side: str = "publisher", **conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("published", set_as_current=False)
    app.conf.update(broker_connection_retry_on_startup=True, **conf)
    for name, (publishers, workers) in LOCKS.items():
        scope = workers if side == "worker" else publishers
        if scope is ...:
            continue
        lock = None if scope is None else lock_of(name, scope)
        app.task(base=Hooked, bind=True, shared=False, name=f"published.{name}", lock=lock)(body)

    @signals.task_prerun.connect(weak=False)
    def before(args: Any = (), task: Any = None, **_: Any) -> None:
        if task.request.delivery_info.get("redelivered"):
            return  # it does so once
        if args[1:] in (("die before",), ["die before"]):
            die()
        if args[1:] in (("stand still before",), ["stand still before"]):
            tell("before", args[0])
            time.sleep(30)

    return app


see_deaths_soon()
app = make_app(
    os.environ.get("TEST_SIDE", "publisher"),
    task_acks_late=os.environ.get("TEST_LATE") == "1",
    worker_deduplicate_successful_tasks=os.environ.get("TEST_LATE") == "1",
    lock_key_prefix=os.environ.get("TEST_PREFIX", "celery-lock:"),
)
