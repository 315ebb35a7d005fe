"""Locked tasks whose lease is lost under them, and what they see of it themselves."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from typing import Any

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

from celery_lock import LeaseLost, Lock, LockedTask, constant, current_lease, requeue, skip
from celery_lock.model.clock import steady
from celery_lock.signals import lock_lost
from tests.integration.apps.history import tell

TTL = 2.0
AT_MOST = 0.6
LONG = 20.0
"""Seconds that a body waits for what does not come."""
AGAIN = requeue(constant(0.1))


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("lost", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        # with kombu's ten, greenlets that acknowledge at once break the worker's connection
        broker_transport_options={"max_connections": 500},
        lock_send_events=True,
        lock_ttl=TTL,
        **conf,
    )

    def task(name: str, lock: Lock, **options: Any) -> Any:
        return app.task(
            bind=True, shared=False, base=LockedTask, name=f"lost.{name}", lock=lock, **options
        )

    @task("watch", Lock("watch:{job}"))
    def watch(self: Any, job: str) -> dict[str, Any]:
        """Look at the lease all the time, and measure when it is seen to be lost.

        `passed` is when the last check began that raised nothing: a body that was not let run
        for a while cannot have seen it before.
        """
        lease = self.lease
        tell("start", job)
        passed, pause, until = steady(), 0.0, time.monotonic() + LONG
        while time.monotonic() < until:
            began = steady()
            pause = max(pause, began - passed)
            try:
                lease.check()
            except LeaseLost as lost:
                seen = steady()
                return {
                    "late": seen - lease.deadline,
                    "passed": passed - lease.deadline,
                    "at": seen,
                    "pause": max(pause, seen - passed),  # it may have fallen into this step
                    "lost": lease.lost,
                    "reason": lost.reason,
                }
            passed = began
            time.sleep(0.001)
        raise AssertionError("it was never lost")

    @task("wait", Lock("wait:{job}", on_lost="interrupt"))
    def wait(self: Any, job: str, how: str) -> None:
        """Wait in one of the ways in which bodies wait."""
        tell("start", job, token=self.lease.token)
        ours, theirs = socket.socketpair()
        ours.settimeout(LONG)
        try:
            until = time.monotonic() + LONG
            if how == "sleep":
                time.sleep(LONG)
            elif how == "recv":
                ours.recv(1)
            while time.monotonic() < until:
                time.sleep(0.01)
        finally:
            tell("end", job, deadline=current_lease().deadline, seen=steady())
            ours.close()
            theirs.close()

    @task("hung", Lock("hung:{job}", at_most=AT_MOST, on_conflict=AGAIN))
    def hung(self: Any, job: str, seconds: float) -> int:
        now = time.time()  # the store's clock is that of this machine
        tell("start", job, token=self.lease.token, ends=now + self.lease.remaining())
        time.sleep(seconds)
        tell("end", job, lost=self.lease.lost)
        return int(self.lease.token)

    @task("stopped", Lock("stopped:{job}", at_most=AT_MOST, on_lost="interrupt"))
    def stopped(self: Any, job: str) -> None:
        """Hang, until its time is over."""
        tell("start", job)
        until = time.monotonic() + LONG
        while time.monotonic() < until:
            time.sleep(0.01)

    @task("stubborn", Lock("stubborn:{job}", at_most=AT_MOST, on_lost="interrupt"))
    def stubborn(self: Any, job: str) -> list[str]:
        """Catch what comes and go on for a while."""
        caught: list[str] = []
        until = time.monotonic() + LONG
        while time.monotonic() < until:
            try:
                time.sleep(0.01)
            except Exception as error:
                caught.append(repr(error))
                until = time.monotonic() + 0.5 * AT_MOST
        return caught

    @task(
        "again",
        Lock("again:{job}", at_most=AT_MOST, on_lost="interrupt"),
        autoretry_for=(Exception,),
        retry_kwargs={"countdown": 0},
    )
    def again(self: Any, job: str) -> int:
        """Hang the first time."""
        tell("start", job, retries=self.request.retries)
        until = time.monotonic() + LONG
        while not self.request.retries and time.monotonic() < until:
            time.sleep(0.01)
        return int(self.request.retries)

    @task(
        "limited",
        Lock("limited:{job}", at_most=1.0, on_lost="interrupt"),
        soft_time_limit=1,
    )
    def limited(self: Any, job: str) -> list[str]:
        """Bear both ends, which come in the same moment.

        It waits for the second: Celery does not bear the signal of a soft limit in the steps that
        follow a run. A plain task too that ends by itself in the second of its limit may lose its
        result, or its process.
        """
        caught: list[str] = []
        until = time.monotonic() + LONG
        while len(caught) < 2 and time.monotonic() < until:
            try:
                time.sleep(0.01)
            except (LeaseLost, SoftTimeLimitExceeded) as error:
                caught.append(type(error).__name__)
        return caught

    @task(
        "brief",
        Lock("brief:{n}", at_most=0.06, on_lost="interrupt", on_conflict=skip()),
    )
    def brief(self: Any, n: int) -> str:
        """End in the moment in which the lease does."""
        early = (n % 11 - 5) * 0.0004
        ends = self.lease.deadline - early
        with contextlib.suppress(SoftTimeLimitExceeded):
            while steady() < ends:
                time.sleep(0.0001)
        return "done"

    @task("look", Lock("look:{n}"))
    def look(self: Any, n: int) -> int:
        return n

    @lock_lost.connect(weak=False)
    def _(sender: Any, fact: Any, **_: Any) -> None:
        tell("lost", fact.key, reason=fact.reason, at_clock=steady())

    return app


app = make_app(**json.loads(os.environ.get("TEST_SETTINGS", "{}")))
