"""Where scenarios are played: one Redis, a database for each kind, and a worker that helps out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import celery

from celery_lock.model import LockStore
from celery_lock.stores import open_store
from tests.faults import app as app_module
from tests.faults import bodies
from tests.faults.rows import LONG_TTL, TTL, Ending
from tests.faults.sweeper import Sweeper
from tests.services import Proxy, RedisServer, Worker
from tests.services.worker import Pool

__all__ = ["KINDS", "Kind", "Setup", "kind_of", "setups"]

APP = "tests.faults.app"
NEXT = "next"
"""The queue of those who come after; the helper consumes it."""
HELPERS = 40

_queues = itertools.count(1)


@dataclass(frozen=True)
class Kind:
    """Times that some rows need."""

    name: str
    ttl: float
    visibility: float
    """Seconds after which Redis delivers again what nobody acknowledged."""


SEEN = Kind("seen", LONG_TTL, 60.0)
UNSEEN = Kind("unseen", TTL, 3.0)
SHORT = Kind("short", TTL, 60.0)
KINDS = (SEEN, UNSEEN, SHORT)


def kind_of(ending: Ending) -> Kind:
    """Which times an ending needs."""
    if ending.body in ("outlives", "is paused"):
        return SHORT
    return SEEN if ending.seen else UNSEEN


@dataclass
class Setup:
    """A database, the app that sends to it, and the helper: a worker that no fault touches."""

    kind: Kind
    server: RedisServer
    db: int
    folder: Path
    control: str
    app: celery.Celery
    store: LockStore
    helper: Worker
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def facts(self) -> Path:
        """What the workers told of their locks; not the helper."""
        return self.folder / f"facts-{self.kind.name}.jsonl"

    def worker(
        self,
        pool: Pool,
        concurrency: int,
        *,
        args: Sequence[str] = (),
        soft: float = 0.0,
        wire: Proxy | None = None,
    ) -> tuple[Worker, str]:
        """A worker that is not started yet, and its queue."""
        queue = f"q{next(_queues)}"
        worker = Worker(
            APP,
            self.folder,
            broker=self.server.url_for(self.db, port=wire.port if wire else None),
            backend=self.server.url_for(self.db, port=wire.port if wire else None),
            pool=pool,
            concurrency=concurrency,
            queues=[queue],
            args=args,
            env={**_env(self.kind, self.control, soft), app_module.FACTS: str(self.facts)},
        )
        return worker, queue

    def take_over(self, queue: str) -> None:
        """From now on the helper does what is left in a queue."""
        self.app.control.add_consumer(queue, reply=True, destination=[self.helper.hostname])

    def pending(self, ids: set[str], queue: str) -> tuple[set[str], set[str]]:
        """Of which of these tasks the broker has a message: queued, or not acknowledged."""
        with self.app.connection_for_write() as connection:
            channel: Any = connection.channel()
            client = channel.client
            queued = [*client.lrange(queue, 0, -1), *client.lrange(NEXT, 0, -1)]
            kept = client.hvals("unacked")
        return (
            {one for one in ids if any(one.encode() in message for message in queued)},
            {one for one in ids if any(one.encode() in message for message in kept)},
        )


def _env(kind: Kind, control: str, soft: float = 0.0) -> dict[str, str]:
    env = {bodies.TTL: str(kind.ttl), app_module.VISIBILITY: str(kind.visibility)}
    if soft:
        env[app_module.SOFT] = str(soft)
    if control:
        env[app_module.CONTROL] = control
    return env


@contextmanager
def setups(
    binary: str, folder: Path, kinds: Sequence[Kind] = KINDS, control: str = ""
) -> Iterator[dict[str, Setup]]:
    """One server with a setup of each kind."""
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(binary, folder / "redis"))
        made: dict[str, Setup] = {}
        for db, kind in enumerate(kinds):
            url = server.url_for(db)
            helper = Worker(
                APP,
                folder,
                broker=url,
                backend=url,
                pool="threads",
                concurrency=HELPERS,
                queues=[NEXT],
                env=_env(kind, control),
            )
            stack.callback(helper.process.kill)
            helper.start(ready=False)
            app: Any = app_module.make_app(broker_url=url, result_backend=url)
            app.conf.broker_transport_options["visibility_timeout"] = kind.visibility
            stack.callback(app.close)
            store = open_store(url)
            stack.callback(store.close)
            made[kind.name] = Setup(kind, server, db, folder, control, app, store, helper)
        for setup in made.values():
            setup.helper.wait_ready()
            stack.enter_context(Sweeper(setup.app))
        yield made
