"""The tasks that are measured, for the worker and for the one who sends."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import redis
from celery import Celery
from celery.signals import task_success

from celery_lock import Lock, LockedTask, constant, fail, is_skipped, requeue, skip, wait

STORE = os.environ.get("SURPRISES_STORE", "")
ROUNDS = 21
POLICIES: dict[str, Any] = {
    "requeue": requeue(),
    "often": requeue(constant(0.2)),
    "skip": skip(),
    "wait": wait(5, then=requeue()),
    "long": wait(10, then=requeue()),
    "fail": fail(),
}


def make_app(**conf: Any) -> Celery:
    """Return the app; the worker reads its broker from the environment."""
    made = Celery("surprises", set_as_current=False)
    made.conf.update(
        broker_connection_retry_on_startup=True,
        lock_store=STORE or None,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=int(os.environ.get("SURPRISES_PREFETCH", "4")),
        **conf,
    )
    for name, policy in POLICIES.items():
        add_tasks(made, name, policy)
    return made


def note(book: str, *words: object) -> None:
    """Write a line into a book that the measuring process reads."""
    with redis.Redis.from_url(STORE) as client:
        client.rpush(f"surprises:{book}", " ".join(str(word) for word in words))


class Noting(LockedTask):
    """A task that notes when its `on_success` is called."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        note("on_success", is_skipped(retval))


@task_success.connect(weak=False)  # type: ignore[untyped-decorator,unused-ignore]
def succeeded(sender: Any, result: Any, **_: Any) -> None:
    """Note the signal for the one task that is asked about it."""
    if isinstance(sender, Noting):
        note("task_success", is_skipped(result))


def add_tasks(app: Celery, name: str, policy: Any) -> None:
    """Add each kind of task with this policy."""

    def task(kind: str, base: type = LockedTask, ttl: float | None = None) -> Any:
        template = f"{kind if ttl else 'surprises'}:{{key}}"  # one template has one ttl
        lock = Lock(template, on_conflict=policy, ttl=ttl)
        return app.task(base=base, name=f"{kind}.{name}", lock=lock, shared=False)

    @task("hold")
    def hold(key: str, seconds: float) -> None:
        began = time.time()
        time.sleep(seconds)
        note("hold", key, began, time.time())

    @task("noting", Noting)
    def noting(key: str, seconds: float) -> None:
        time.sleep(seconds)
        note("noting", key)

    @task("again")
    def again(key: str, number: int, after: float) -> None:
        time.sleep(0.1)
        note("again", number, time.time())
        if number < ROUNDS:
            again.delay(key, number + 1, after)
        time.sleep(after)

    @task("poison")
    def poison(key: str) -> None:
        time.sleep(0.3)
        note("poison", key)
        os.kill(os.getpid(), signal.SIGKILL)

    @task("stuck", ttl=3.0)
    def stuck(key: str, seconds: float) -> None:
        sleep, began = time.sleep, time.time()
        if "gevent" in str(sleep.__module__):  # what a driver in C does: no other greenlet runs
            from gevent import monkey

            sleep = monkey.get_original("time", "sleep")
        sleep(seconds)
        note("stuck", key, began, time.time())


app = make_app()
