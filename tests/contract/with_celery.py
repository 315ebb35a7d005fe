"""What Celery's side asks of a store: for a publisher, a beat, a hold; or it is refused aloud."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery

from celery_lock import Lock, Scope, hold, skip
from celery_lock.app.bound import refuse_what_lacks
from celery_lock.app.locks import locks_of
from celery_lock.beat import LockedScheduler
from celery_lock.beat.begin import space_of, store_for_ticks
from celery_lock.beat.calls import Calls
from celery_lock.beat.clock import StoreClock
from celery_lock.beat.ledger import Ledger
from celery_lock.contract.fixture import StoreFixture
from celery_lock.engine.locker import Locker
from celery_lock.errors import UnsupportedFeature
from celery_lock.message import HEADER
from celery_lock.model import Feature, LockStore
from tests.unit.engine import deliver, locked

__all__ = ["WithCelery"]

PATIENCE = 30.0


class WithCelery(StoreFixture):
    """Plays that are real but for the worker: its tracer runs what the broker in memory has."""

    alone = True
    """They share Celery's broker in memory, which is emptied before each test."""

    @contextmanager
    def app(self, store: LockStore) -> Iterator[Celery]:
        """An app whose locks live in the store."""
        app = Celery(
            f"shop-{uuid4().hex}", broker="memory://", backend="cache+memory://",
            set_as_current=False,
        )  # fmt: skip
        app.conf.task_default_queue = app.main
        locker = Locker(store)
        vars(locker.store).pop("longest_ttl", None)  # the contract's is shorter than any ttl
        locks_of(app).swap(locker)
        yield app
        locks_of(app).swap(None)
        app.close()

    def sent(self, app: Celery) -> list[Any]:
        """What the broker has by now."""
        with app.connection_for_read() as connection:
            queue = connection.SimpleQueue(app.conf.task_default_queue)
            got = []
            while (message := queue.queue.get(no_ack=True)) is not None:
                got.append(message)
            return got

    def test_a_publishers_lease_keeps_duplicates_away_and_goes_to_its_message(
        self, store: LockStore, key: str
    ) -> None:
        with self.app(store) as app:
            lock, met = Lock(key, scope=Scope.UNTIL_FINISHED, on_conflict=skip()), list[Any]()
            task = locked(app, lock, name="report")(body_of(lambda: met.append(store.peek(key))))
            if Feature.HEIRS not in store.features:
                with pytest.raises(UnsupportedFeature, match="these have it: memory://"):
                    refuse_what_lacks(store, locks_of(app).bound)
                return

            first, second = task.delay(), task.delay()
            (message,) = self.sent(app)
            assert second.id == first.id
            assert store.peek(key) is not None
            headers = {HEADER: message.headers[HEADER]}
            ended = deliver(task, id=first.id, headers=headers, queue=app.main)

            assert ended.state == "SUCCESS"
            assert first.id in met[0].holder
            assert store.peek(key) is None

    def test_a_place_in_the_queue_is_left_as_the_body_starts(
        self, store: LockStore, key: str
    ) -> None:
        with self.app(store) as app:
            self.need(store, Feature.HEIRS)
            lock = Lock(key, scope=Scope.UNTIL_STARTED)
            task = locked(app, lock, name="report")(body_of(lambda: task.delay()))

            first = task.delay()
            (message,) = self.sent(app)
            headers = {HEADER: message.headers[HEADER]}
            assert deliver(task, id=first.id, headers=headers, queue=app.main).state == "SUCCESS"

            (again,) = self.sent(app)
            assert again.headers["id"] != first.id

    def test_two_beats_publish_each_tick_once(self, store: LockStore) -> None:
        with self.app(store) as app:
            if Feature.RECORDS not in store.features:
                with pytest.raises(
                    UnsupportedFeature, match=r"a beat needs .* these have it: memory://"
                ):
                    store_for_ticks(app)
                return
            app.conf.beat_schedule = {"tick": {"task": "tick", "schedule": 0.1}}
            beats = [_beat(app, store, name) for name in ("one", "two")]
            sent: list[Any] = []
            until = time.monotonic() + PATIENCE

            while len(sent) < 3 and time.monotonic() < until:
                for beat in beats:
                    beat.tick()
                sent += self.sent(app)
                time.sleep(0.01)

            assert len(sent) >= 3
            ids = Counter(message.headers["id"] for message in sent)
            assert set(ids.values()) == {1}
            dues = Counter(message.headers[HEADER]["beat"]["due"] for message in sent)
            assert set(dues.values()) == {1}

    def test_a_hold_with_permits_works_or_names_the_stores_where_it_does(
        self, store: LockStore, key: str
    ) -> None:
        with self.app(store) as app:
            if Feature.PERMITS not in store.features:
                with (
                    pytest.raises(UnsupportedFeature, match="these have it: memory://"),
                    hold(key, max_wait=0, limit=2, app=app),
                ):
                    pass
                return

            with hold(key, max_wait=0, limit=2, app=app), hold(key, max_wait=0, limit=2, app=app):
                pass
            assert store.peek(key) is None

    def test_a_hold_keeps_a_task_out_and_the_other_way_round(
        self, store: LockStore, key: str
    ) -> None:
        with self.app(store) as app:
            ran: list[int] = []
            task = locked(app, Lock(key, on_conflict=skip()), name="report")(
                body_of(lambda: ran.append(1))
            )

            with hold(key, max_wait=0, app=app):
                deliver(task, id="id-1")
            assert ran == []

            deliver(task, id="id-2")
            assert ran == [1]


def body_of(call: Any) -> Any:
    """Return a function of a name that Celery can take."""

    def body() -> None:
        call()

    return body


def _beat(app: Celery, store: LockStore, name: str) -> Any:
    clock = StoreClock(app.now().timestamp())
    ledger = Ledger(Calls(store, space_of(app), clock, lambda error: None), f"{name}#1#{name}")

    class Beat(LockedScheduler):
        def lock_begin(self) -> tuple[Ledger, LockStore]:
            return ledger, store

    return Beat(app=app, max_interval=300)
