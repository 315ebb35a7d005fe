"""The tasks of the stores' rows, and the way that one worker's connections take."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery
from celery.exceptions import Retry
from celery.signals import task_failure

from celery_lock import Lock, LockedTask, constant, requeue, wait
from celery_lock.signals import lock_store_failed
from celery_lock.stores.redlock.node import Node
from tests.faults.bodies import tell

__all__ = ["LOCKED", "PLAIN", "SETUP", "UNGUARDED", "make_app"]

SETUP = "TEST_SETUP"
"""A variable with all that a worker has to know: url, options, ttl, book, ways."""

LOCKED = ("stores.waits", "stores.sent_again")
PLAIN = ("stores.plain",)
UNGUARDED = "no guard"
"""An option of a row that shows what Redlock would be without its guard."""
PIECE = 0.02
"""Seconds between two looks of a body at its lease."""
PAUSE = 0.3
POLICIES = (wait(2, then=requeue(constant(PAUSE))), requeue(constant(PAUSE)))


def make_app(setup: dict[str, Any], **conf: Any) -> Any:
    """One app for the workers (by environment) and one for who sends."""
    app: Any = Celery("stores", set_as_current=False)
    options = dict(setup["options"])
    if options.pop(UNGUARDED, False):
        # what a user cannot choose: a node votes as soon as it is up
        Node._votes_from = lambda self, reply: 0.0  # type: ignore[method-assign]
    app.conf.update(
        broker_connection_retry_on_startup=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        task_ignore_result=True,
        task_acks_late=True,
        lock_store=setup["url"],
        lock_store_options=options,
        **conf,
    )
    for name, policy in zip(LOCKED, POLICIES, strict=True):
        lock = Lock("{key}", ttl=setup["ttl"], on_conflict=policy)
        app.task(body, name=name, bind=True, shared=False, base=LockedTask, lock=lock)
    app.task(body, name=PLAIN[0], bind=True, shared=False)
    return app


def body(self: Any, book: str, key: str, seconds: float) -> None:
    """Be inside for a while; leave when the lease is lost, and come again."""
    lease = self.lease if isinstance(self, LockedTask) else None
    run = {"run": uuid.uuid4().hex, "key": key, "pid": os.getpid()}
    token = lease.known_token if lease else None
    known = {"task_id": self.request.id, "publication": self.request.id, "retry_no": 0}
    tell(book, "start", token=token, **known, **run)
    begun, left = time.monotonic(), Path(book).with_suffix(".over")
    while time.monotonic() < begun + seconds and not left.exists():
        looked = time.monotonic()
        good = lease.remaining() if lease else 0.0
        time.sleep(min(PIECE, max(0.0, begun + seconds - looked)))
        if lease and lease.lost:
            # `lost` has been true from the deadline on; a busy machine looks at it later
            tell(
                book, "end", how="again", lost=True, at=min(time.monotonic(), looked + good), **run
            )
            raise self.retry(countdown=PAUSE, max_retries=None)
    tell(book, "end", how="done", lost=bool(lease and lease.lost), **run)


# -- what a worker tells beside ----------------------------------------------------------------


@lock_store_failed.connect(weak=False)
def _note_failure(sender: Any, fact: Any, **_: Any) -> None:
    if _setup:
        tell(_setup["book"], "failed", call=fact.call, error=fact.error)


@task_failure.connect(weak=False)
def _note_error(sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
    if _setup and not isinstance(exception, Retry):
        tell(_setup["book"], "error", task_id=task_id, error=repr(exception))


# -- the way of its connections ----------------------------------------------------------------


def go_through(ways: dict[int, int]) -> None:
    """Send each connection to one of these loopback ports to another port.

    It does not matter where a client has the address from: a node of a Cluster and a sentinel
    tell the addresses of others, and these know nothing of a proxy.
    """

    def led(connect: Callable[..., Any]) -> Callable[..., Any]:
        def through(sock: socket.socket, address: Any) -> Any:
            if isinstance(address, tuple) and address[1] in ways:
                address = (address[0], ways[address[1]], *address[2:])
            return connect(sock, address)

        return through

    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, led(getattr(socket.socket, name)))


_setup: dict[str, Any] = json.loads(os.environ.get(SETUP, "{}"))
if _setup:
    go_through({int(port): other for port, other in _setup["ways"].items()})
    app = make_app(_setup)
