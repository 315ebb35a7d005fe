"""Several beats in a time of their own: the store's clock stands still until the world moves it.

What a beat does is real: its scheduler, Celery's loop, the store in memory. Only sleeping is not:
the world wakes each beat when it has slept long enough. So an hour with ten beats takes a moment,
and a beat can be killed, paused or cut off at any call.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any

from celery import Celery

from celery_lock.beat import LockedScheduler
from celery_lock.beat.begin import space_of
from celery_lock.beat.calls import Calls
from celery_lock.beat.clock import StoreClock
from celery_lock.beat.ledger import Ledger
from celery_lock.model import LockStore
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.testing import FaultyStore, StoreCall

NOON = datetime(2026, 3, 10, 12, tzinfo=timezone.utc).timestamp()


_TURN = 0.0001
"""Seconds that one turn of a beat's loop takes."""


class Killed(BaseException):
    """A process that is gone runs no handler of anything."""


class Stopped(BaseException):
    """A process that was asked to stop closes its scheduler once more on its way out."""


@dataclass(frozen=True)
class Sent:
    """A message of a tick."""

    entry: str
    due: float
    task_id: str
    at: float
    """Of the store's time, in seconds since the world began."""
    by: str
    headers: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)


@dataclass
class Beat:
    """One beat of the world."""

    name: str
    scheduler: Any
    store: FaultyStore
    wakes: float = 0.0
    alive: bool = True
    paused: bool = False
    died: BaseException | None = None
    slept: list[float] = field(default_factory=list)


class Broker:
    """A producer of a beat, and the pool that its app takes one from."""

    connection = property(lambda self: self)
    # Celery 5.5 asks its own pool for the broker's kind, whatever producer it is given
    connections = property(lambda self: self)
    transport = property(lambda self: self)
    driver_type = "memory"
    _reraise_as_library_errors = staticmethod(nullcontext)

    def __init__(self, world: World, beat: Beat) -> None:
        self._take = partial(world.publish, beat)

    def acquire(self, block: bool = False) -> Broker:
        """Return the producer, as the pool."""
        return self

    def release(self) -> None:
        """Take the producer back, as the pool."""

    def publish(self, body: Any, *, headers: dict[str, Any], **options: Any) -> None:
        """Take a message."""
        self._take(headers)


class World:
    """Time, a store, and beats."""

    def __init__(self, entries: dict[str, Any], *, begins: float = NOON, **conf: Any) -> None:
        self.clock = ManualClock(0.25)
        self.begins = begins
        """Seconds since 1970."""
        self.memory = MemoryServer(
            self.clock, epoch=begins
        )  # a quarter of a second before the beats
        self.entries = entries
        self.conf = conf
        self.beats: list[Beat] = []
        self.sent: list[Sent] = []
        self.app_class: type[Celery] = Celery
        self.failed: list[str] = []
        self.refuse: Callable[[str], bool] = lambda beat: False
        """Whether the broker refuses a message of this beat."""
        self.refuse_message: Callable[[dict[str, Any]], bool] = lambda headers: False
        """Whether it refuses a message with these headers."""
        self.tried: list[str] = []
        """Who published, the refused ones too."""
        self.claimed = ("", 0.0)
        """The entry and the due time of the latest claim."""
        self.next: dict[str, Callable[[Beat], None]] = {}
        """What happens to the beat that comes to a point first: `claimed`, `granted`,
        `publishing`, `published`, `confirming`."""

    def reach(self, point: str, beat: Beat) -> None:
        """A beat has come to this point."""
        happens = self.next.pop(point, None)
        if happens is not None:
            happens(beat)

    def publish(self, beat: Beat, headers: dict[str, Any]) -> None:
        """A beat's message has come to the broker."""
        self.reach("publishing", beat)
        self.tried.append(beat.name)
        if self.refuse(beat.name) or self.refuse_message(headers):
            raise OSError("the broker is down")
        header = headers.get("celery_lock") or {}
        due = self.now
        if "beat" in header:
            due = datetime.fromisoformat(header["beat"]["due"]).timestamp() - self.begins
        entry = headers["task"].partition(":")[2]
        self.sent.append(
            Sent(entry, round(due, 6), headers["id"], self.now, beat.name, dict(headers))
        )
        self.reach("published", beat)

    @property
    def now(self) -> float:
        """Seconds since the world began."""
        return self.clock()

    def beat(
        self,
        name: str,
        *,
        kind: type = LockedScheduler,
        wall: float = 0.0,
        entries: dict[str, Any] | None = None,
        on_store_error: str = "wait",
        main: str = "shop",
    ) -> Beat:
        """Start a beat. `wall`: by how much its machine's clock is wrong."""
        world, begins = self, self.begins
        app = self.app_class(
            main, broker="memory://", backend="cache+memory://", set_as_current=False
        )
        app.conf.update(
            self.conf,
            beat_schedule=self.entries if entries is None else entries,
            lock_beat_on_store_error=on_store_error,
        )
        # the machine's clock; a datetime that is added to forgets which of two hours it is in
        app.now = lambda: datetime.fromtimestamp(  # type: ignore[method-assign]
            begins + world.now + wall, app.timezone
        )
        server = FaultyStore(MemoryStore(self.memory))  # it fails for nobody, and is looked at
        beat = Beat(name, None, FaultyStore(server), wakes=self.now)
        server.instead("change", do=lambda call: self._change(beat, call))
        server.instead("check", do=lambda call: [])

        clock = StoreClock(app.now().timestamp(), self.clock)
        calls = Calls(beat.store, space_of(app), clock, lambda e: self.failed.append(str(e)))
        ledger = Ledger(calls, f"{name}#1#{len(self.beats)}")

        broker = Broker(self, beat)
        app.amqp._producer_pool = broker

        class Ours(kind):  # type: ignore[misc, valid-type]  # any scheduler
            producer = broker

            def lock_begin(self) -> tuple[Ledger, LockStore]:
                return ledger, beat.store

            def reserve(self, entry: Any) -> Any:
                world.reach("granted", beat)
                return super().reserve(entry)

        beat.scheduler = Ours(app=app, max_interval=300)
        self.beats.append(beat)
        return beat

    def _change(self, beat: Beat, call: StoreCall) -> Any:
        change = call.arguments["change"]
        if '"claim"' not in change.value and change.expected:
            self.reach("confirming", beat)
        answer = call()
        if answer.done and '"claim"' in change.value:
            due = json.loads(change.value)["claim"]["due"] - self.begins
            self.claimed = change.name, round(due, 6)
            self.reach("claimed", beat)
        return answer

    def run(self, seconds: float) -> None:
        """Let so much time pass, and wake each beat when it has slept."""
        self._run_until(self.now + seconds, None)

    def _run_until(self, end: float, but: Beat | None) -> None:
        for _ in range(1_000_000):
            awake = [b for b in self.beats if b.alive and not b.paused and b is not but]
            first = min(awake, key=lambda b: b.wakes, default=None)
            if first is None or first.wakes >= end:
                break
            if first.wakes > self.now:
                self.clock.move(first.wakes - self.now)
            self._wake(first)
        else:
            raise AssertionError("a beat that never sleeps")
        if end > self.now:
            self.clock.move(end - self.now)

    def _wake(self, beat: Beat) -> None:
        self.clock.move(_TURN)
        try:
            delay = beat.scheduler.tick()
        except Killed:
            beat.alive = False
            return
        except Stopped:
            beat.alive = False
            beat.scheduler.close()
            return
        except Exception as died:
            beat.alive, beat.died = False, died
            beat.scheduler.close()  # as Celery's service does on its way out
            return
        delay = max(0.0, delay or 0.0)
        beat.slept.append(delay)
        beat.wakes = self.now + delay

    def pause(self, beat: Beat, seconds: float) -> None:
        """Let a beat stand still where it is, while the others go on."""
        beat.paused = True
        self._run_until(self.now + seconds, beat)
        beat.paused = False

    def kill(self, beat: Beat) -> None:
        """End a beat from outside."""
        beat.alive = False

    def die(self, beat: Beat) -> None:
        """End a beat from within."""
        raise Killed

    def stop(self, beat: Beat) -> None:
        """Ask a beat to stop, as SIGTERM does: its handler closes the scheduler and leaves."""
        beat.scheduler.close()
        raise Stopped

    def cut(self) -> None:
        """Take the store away from all beats."""
        for beat in self.beats:
            beat.store.refuse()

    def heal(self) -> None:
        """Give the store back to all beats."""
        for beat in self.beats:
            beat.store.heal()

    def flush(self) -> None:
        """Let the store forget everything."""
        MemoryServer.__init__(self.memory, self.clock, epoch=self.memory.epoch)

    def saved(self) -> Any:
        """Return what the store has, as a server writes it to its disk."""
        return dict(self.memory.entries)

    def restore(self, saved: Any) -> None:
        """Let the store go back to that."""
        self.memory.entries = dict(saved)

    # -- what came of it ---------------------------------------------------------------------

    def dues(self, entry: str) -> list[float]:
        """Return the due times of an entry's messages, as they were sent."""
        return [sent.due for sent in self.sent if sent.entry == entry]


def every(seconds: float, name: str = "e") -> dict[str, Any]:
    """Return a schedule with one entry."""
    return {name: {"task": f"t:{name}", "schedule": seconds}}
