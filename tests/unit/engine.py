"""The engine without a server: a store that fails to order, a clock, and deliveries by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from celery import Celery
from celery.app.trace import build_tracer

from celery_lock import LockedTask
from celery_lock.app.flags import connection_epoch
from celery_lock.app.locks import locks_of
from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.events import Fact, Observers, Subject
from celery_lock.message import Given, Parts, Sender
from celery_lock.message.header import Header
from celery_lock.message.raw import RawMessage
from celery_lock.model import Claim, Holder, Lease
from celery_lock.model.clock import steady
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.testing import FaultyStore

EPOCH = 1_700_000_000.0
SUBJECT = Subject("shop.charge", "id-1", "user:{user_id}")


class Again(NamedTuple):
    """One message that was sent again."""

    raw: Any
    header: dict[str, Any]
    delay: float


class Outbox(Sender):
    """Keeps what is sent again, instead of sending it."""

    def __init__(self, app: Celery, engine: Engine) -> None:
        super().__init__(app)
        self._engine = engine

    def send(self, raw: RawMessage, header: Header, *, delay: float) -> None:
        error = self._engine.unsent()
        if error is not None:
            raise error
        self._engine.sent.append(Again(raw, header.write(), delay))


class Engine:
    """A locker whose time stands still, its keeper without threads, and what it told."""

    def __init__(self) -> None:
        self.clock = ManualClock(1000.0, jumps=True)
        memory = MemoryStore(MemoryServer(self.clock, epoch=EPOCH), deadline=10.0)
        self.store = FaultyStore(memory, pause=self.clock.move)
        self.facts: list[Fact] = []
        self.locker = Locker(
            self.store,
            clock=self.clock,
            observers=Observers(self.facts.append),
            pause=self.clock.move,
            threads=False,
        )
        self.keeper = self.locker.keeper
        self.pending = self.locker.pending
        self.sent: list[Again] = []
        self.unsent: Callable[[], BaseException | None] = lambda: None
        self._nonces = itertools.count()

    def holder(self, task_id: str = "id-1", pid: int = 1) -> str:
        return str(Holder(task_id, "w1", pid, f"n{next(self._nonces)}"))

    def claim(self, key: str = "k", *, task_id: str = "id-1", **options: Any) -> Claim:
        return Claim(key, self.holder(task_id), **{"ttl": 30.0, **options})

    def take(self, key: str = "k", *, at_most: float | None = None, **options: Any) -> Grant:
        got = self.locker.claim(Ask(self.claim(key, **options), SUBJECT, at_most))
        assert isinstance(got, Grant)
        return got

    def hold(self, key: str = "k", *, task_id: str = "other", **options: Any) -> Lease:
        """Somebody in another process takes the key."""
        got = self.store.inner.acquire(self.claim(key, task_id=task_id, **options))
        assert isinstance(got, Lease)
        return got

    def free(self, lease: Lease) -> None:
        assert self.store.inner.release(lease)

    def holder_of(self, key: str = "k") -> str | None:
        held = self.store.inner.peek(key)
        return None if held is None else Holder.parse(held.holder).task_id

    def move(self, seconds: float) -> None:
        """Let time pass with the keeper and the pending calls at work."""
        until = self.clock() + seconds
        while self.clock() < until:
            due = min(self.locker.move_on(), until)
            self.clock.move(max(due - self.clock(), 1e-3))
        self.keeper.notify_losses()

    def settle(self) -> None:
        """Let the pending calls be answered."""
        self.store.heal()
        self.move(3)

    def told(self, kind: type[Fact]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    # -- with Celery -------------------------------------------------------------------------

    def app(self, **options: Any) -> Celery:
        """An app of the test's own, with this engine in it and nothing sent for real."""
        app = Celery(
            "shop", broker="memory://", backend="cache+memory://", set_as_current=False, **options
        )
        self.install(app)
        return app

    def install(self, app: Celery) -> None:
        """Be the engine of `app` from now on."""
        locks = locks_of(app)
        locks.swap(self.locker)
        locks.sender = Outbox(app, self)

    @staticmethod
    def uninstall(app: Celery) -> None:
        """Leave `app` without an engine; its settings name no store for another one."""
        locks_of(app).swap(None)


def locked(app: Celery, lock: Any = ..., **options: Any) -> Callable[..., Any]:
    """`@app.task` for this app alone (Celery shares tasks between all apps of a process).

    `lock`: what the task says of it; `...`: nothing.
    """
    if lock is not ...:
        options["lock"] = lock
    return app.task(**{"base": LockedTask, "shared": False, "lazy": False, **options})  # type: ignore[no-any-return,call-overload]


class Ended(NamedTuple):
    """How a delivery ended."""

    state: str
    result: Any


def arrived(
    ago: float | None = 0.0, era: int = 0, *, headers: Any = None, queue: str = "celery"
) -> Parts:
    """What the main process gives with a message that came so many seconds ago."""
    came = None if ago is None else steady() - ago
    nonce = f"m{next(_deliveries):x}"
    body = (b"[]", "application/json", "utf-8", dict(headers or {}), queue)
    # other tests of this process may have run workers, which connect
    return Parts(*body, nonce=nonce, came=came, epoch=connection_epoch() - era)


_deliveries = itertools.count()


def deliver(
    task: Any,
    *args: Any,
    id: str = "id-1",
    redelivered: bool = False,
    tag: Any = "tag-1",
    headers: Mapping[str, Any] | None = None,
    raw: bool = True,
    kwargs: Mapping[str, Any] | None = None,
    ago: float | None = None,
    era: int = 0,
    queue: str = "celery",
    **request: Any,
) -> Ended:
    """Run one message through Celery's own tracer, as a pool child does.

    `ago`: seconds since it came into the worker, which has connected `era` times since then.
    """
    properties: dict[str, Any] = {"delivery_tag": tag, "correlation_id": id}
    if raw:
        properties = Given(properties, arrived(ago, era, headers=headers, queue=queue))
    made = {
        "id": id,
        "task": task.name,
        "hostname": "w1@host",
        "delivery_info": {"redelivered": redelivered, "priority": 0},
        "properties": properties,
        **(headers or {}),
        **request,
    }
    trace = task.__trace__ or build_tracer(task.name, task, app=task.app)
    outcome = trace(id, args, dict(kwargs or {}), made)
    if outcome.info is None:
        return Ended("SUCCESS", outcome.retval)
    return Ended(outcome.info.state, outcome.info.retval)
