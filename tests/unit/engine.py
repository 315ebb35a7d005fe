"""The engine without a server: a store that a test can trip up, a clock, and deliveries by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from celery import Celery
from celery.app.trace import build_tracer

from celery_lock import LockedTask
from celery_lock.app.locks import locks_of
from celery_lock.engine.keeper import Keeper
from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.events import Fact, Observers, Subject
from celery_lock.message import RAW, note_arrival
from celery_lock.model import Change, Changed, Claim, End, Held, Holder, Lease, Outcome, Record
from celery_lock.model.clock import steady
from celery_lock.stores.memory import MemoryStore
from celery_lock.stores.space import ManualClock, Space

EPOCH = 1_700_000_000.0
SUBJECT = Subject("shop.charge", "id-1", "user:{user_id}")

Trip = Callable[[Callable[[], Any]], Any]
"""What is done instead of a call to the store; it is given the call itself."""


class TripStore(MemoryStore):
    """A memory store that notes its calls, and lets a test do something else instead."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(Space(clock, epoch=EPOCH))
        self.calls: list[str] = []
        self.instead: dict[str, Trip] = {}

    def acquire(self, claim: Claim) -> Lease | Held:
        got: Lease | Held = self._called("acquire", lambda: super(TripStore, self).acquire(claim))
        return got

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        self.renewals, self.within = list(renewals), within
        outcomes: list[Outcome] = self._called(
            "renew", lambda: super(TripStore, self).renew(renewals, within=within)
        )
        return outcomes

    def release(self, lease: Lease, end: End | None = None) -> bool:
        freed: bool = self._called("release", lambda: super(TripStore, self).release(lease, end))
        return freed

    def free(self, key: str, holder: str, *, floor: bool = False) -> Held | None:
        had: Held | None = self._called(
            "free", lambda: super(TripStore, self).free(key, holder, floor=floor)
        )
        return had

    def undo(self, claim: Claim) -> None:
        self._called("undo", lambda: super(TripStore, self).undo(claim))

    def watch(self, key: str, timeout: float) -> None:
        self._called("watch", lambda: super(TripStore, self).watch(key, timeout))

    def change(self, change: Change) -> Changed:
        changed: Changed = self._called("change", lambda: super(TripStore, self).change(change))
        return changed

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        answer: tuple[list[Record | None], float] = self._called(
            "records", lambda: super(TripStore, self).records(space, names)
        )
        return answer

    def names(self, space: str) -> list[str]:
        names: list[str] = self._called("names", lambda: super(TripStore, self).names(space))
        return names

    def _called(self, name: str, call: Callable[[], Any]) -> Any:
        self.calls.append(name)
        trip = self.instead.get(name)
        return call() if trip is None else trip(call)


def refuse(error: BaseException) -> Trip:
    """The call never reaches the store."""

    def trip(call: Callable[[], Any]) -> Any:
        raise error

    return trip


def lose_answer(error: BaseException) -> Trip:
    """The store does what it was asked, and nobody hears of it."""

    def trip(call: Callable[[], Any]) -> Any:
        call()
        raise error

    return trip


class Again(NamedTuple):
    """One message that was sent again."""

    raw: Any
    header: dict[str, Any]
    delay: float


class Engine:
    """A locker whose time stands still, its keeper without threads, and what it told."""

    def __init__(self) -> None:
        self.clock = ManualClock(1000.0, jumps=True)
        self.store = TripStore(self.clock)
        self.keeper = Keeper(self.store, clock=self.clock, threads=False)
        self.facts: list[Fact] = []
        self.locker = Locker(
            self.store,
            clock=self.clock,
            observers=Observers(self.facts.append),
            keeper=self.keeper,
            pause=self.clock.move,
        )
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
        got = MemoryStore.acquire(self.store, self.claim(key, task_id=task_id, **options))
        assert isinstance(got, Lease)
        return got

    def free(self, lease: Lease) -> None:
        assert MemoryStore.release(self.store, lease)

    def holder_of(self, key: str = "k") -> str | None:
        held = self.store.peek(key)
        return None if held is None else Holder.parse(held.holder).task_id

    def move(self, seconds: float) -> None:
        """Let time pass with the keeper at work."""
        until = self.clock() + seconds
        while self.clock() < until:
            due = min(self.keeper.renew(), self.keeper.notify_losses(), until)
            self.clock.move(max(due - self.clock(), 1e-3))
        self.keeper.notify_losses()

    def settle(self) -> None:
        """Let the keeper pay what it owes."""
        self.store.instead.clear()
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
        locks.sender = self  # type: ignore[assignment]  # `send` is all that is asked of it

    def send(self, raw: Any, header: Any, *, delay: float) -> None:
        error = self.unsent()
        if error is not None:
            raise error
        self.sent.append(Again(raw, header.write(), delay))


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


def arrived(ago: float, era: int) -> Mapping[str, Any]:
    """What the main process notes beside a message."""
    request: dict[str, Any] = {}
    note_arrival(request, era, clock=lambda: steady() - ago)
    properties: Mapping[str, Any] = request["properties"]
    return properties


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
    **request: Any,
) -> Ended:
    """Run one message through Celery's own tracer, as a pool child does.

    `ago`: seconds since it came into the worker, which had connected `era` times then.
    """
    properties: dict[str, Any] = {"delivery_tag": tag, "correlation_id": id}
    if raw:
        properties[RAW] = (b"[]", "application/json", "utf-8", dict(headers or {}), "celery")
    if ago is not None:
        properties.update(arrived(ago, era))
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
