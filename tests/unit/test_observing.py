"""Who is told of an app's locks: its own tasks as senders, its monitors where they are wanted."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from celery_lock import Lock
from celery_lock.app import flags
from celery_lock.app.locks import locks_of
from celery_lock.app.observing import EventPost, observers_of
from celery_lock.app.settings import Settings
from celery_lock.engine import alarm
from celery_lock.events import Acquired, Fact, Observers
from celery_lock.signals import lock_acquired
from celery_lock.stores.manual_clock import ManualClock

from .engine import locked
from .facts import SUBJECT, acquired
from .forking import holds_in_a_child
from .quiet_signals import nobody_else_connected

PATIENCE = 10.0


class Monitor:
    """Stands in for an app's event dispatcher."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.hostnames: list[str | None] = []
        self.arrived = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        self.taken = threading.Event()
        self.error: Exception | None = None

    @contextmanager
    def default_dispatcher(self, hostname: str | None = None) -> Iterator[Monitor]:
        self.hostnames.append(hostname)
        self.taken.set()
        self.go_on.wait(PATIENCE)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        yield self

    def send(self, type_: str, **fields: Any) -> None:
        self.sent.append((type_, fields))
        self.arrived.release()


@pytest.fixture(autouse=True)
def _nobody_else_is_connected() -> Iterator[None]:
    with nobody_else_connected():
        yield


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits here for what Celery itself sends first."""
    monkeypatch.setattr(EventPost, "AFTER", 0.0)


@pytest.fixture
def monitor() -> Monitor:
    return Monitor()


@pytest.fixture
def app(monitor: Monitor) -> Celery:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.__dict__["events"] = monitor  # a cached property, which would make a real one
    return app


@pytest.fixture
def heard() -> Iterator[list[object]]:
    senders: list[object] = []

    def hear(sender: object, **_: Any) -> None:
        senders.append(sender)

    lock_acquired.connect(hear)
    yield senders
    lock_acquired.disconnect(hear)


def observers(app: Celery, *, events: bool = False, **settings: Any) -> Observers:
    return observers_of(app, Settings(**settings), events=lambda: events)


# -- signals ---------------------------------------------------------------------------------


def test_the_sender_of_a_signal_is_the_task(app: Celery, heard: list[object]) -> None:
    def charge() -> None:
        """Do nothing."""

    task = locked(app, Lock("k"), name=SUBJECT.task)(charge)

    observers(app).notify(acquired())

    assert heard == [task]


def test_a_task_that_is_not_known_here_sends_under_its_name(
    app: Celery, heard: list[object]
) -> None:
    observers(app).notify(acquired())

    assert heard == [SUBJECT.task]


def test_after_the_app_has_gone_a_task_sends_under_its_name(heard: list[object]) -> None:
    def make() -> Observers:
        return observers(Celery("gone", broker="memory://", set_as_current=False))

    left = make()
    gc.collect()

    left.notify(acquired())

    assert heard == [SUBJECT.task]


# -- events ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("worker_sends", "setting", "sent"),
    [
        (True, None, True),
        (False, None, False),
        (True, False, False),
        (False, True, True),
    ],
)
def test_events_are_sent_where_they_are_wanted(
    app: Celery, monitor: Monitor, worker_sends: bool, setting: bool | None, sent: bool
) -> None:
    observers(app, events=worker_sends, send_events=setting).notify(acquired())

    assert monitor.arrived.acquire(timeout=PATIENCE if sent else 0) is sent


def test_an_event_carries_its_fact(app: Celery, monitor: Monitor) -> None:
    observers(app, events=True).notify(acquired())

    assert monitor.arrived.acquire(timeout=PATIENCE)
    ((type_, fields),) = monitor.sent
    assert type_ == "lock-acquired"
    assert (fields["uuid"], fields["key"]) == ("id-1", "user:7")


def test_an_app_follows_its_own_setting(monitor: Monitor) -> None:
    for wanted in (True, False):
        app = Celery("shop", broker="memory://", set_as_current=False)
        app.__dict__["events"] = monitor
        app.conf.worker_send_task_events = wanted

        locks_of(app).observers.notify(acquired())

        assert monitor.arrived.acquire(timeout=PATIENCE if wanted else 0) is wanted


def test_a_worker_started_with_events_sends_them(app: Celery, monitor: Monitor) -> None:
    locks = locks_of(app)
    locks.in_worker(events=lambda: True, hostname="w@shop")

    locks.observers.notify(acquired())

    assert monitor.arrived.acquire(timeout=PATIENCE)
    assert monitor.hostnames == ["w@shop"]


def test_a_worker_begins_and_ends_to_send_events_as_monitors_want_them(
    app: Celery, monitor: Monitor
) -> None:
    locks, wanted = locks_of(app), [False]
    locks.in_worker(events=lambda: wanted[0], hostname="w@shop")

    for key, wanted[0] in (("1", False), ("2", True), ("3", False), ("4", True)):
        locks.observers.notify(acquired(key=key))

    assert monitor.arrived.acquire(timeout=PATIENCE)
    assert monitor.arrived.acquire(timeout=PATIENCE)
    assert [fields["key"] for _, fields in monitor.sent] == ["2", "4"]
    assert not locks.observers.only_counted(Acquired, SUBJECT)
    wanted[0] = False
    assert locks.observers.only_counted(Acquired, SUBJECT)


def test_a_task_without_events_of_its_own_has_none_of_ours(app: Celery, monitor: Monitor) -> None:
    def charge() -> None:
        """Do nothing."""

    locked(app, Lock("k"), name=SUBJECT.task, send_events=False)(charge)
    told = observers(app, events=True)

    told.notify(acquired())
    told.notify(acquired(subject=SUBJECT._replace(task="shop.other")))

    assert monitor.arrived.acquire(timeout=PATIENCE)
    assert [fields["name"] for _, fields in monitor.sent] == ["shop.other"]


@pytest.mark.parametrize(
    ("groups", "enabled", "sends"),
    [
        (set(), True, True),
        ({"worker", "task"}, True, True),
        ({"worker"}, True, False),
        (set(), False, False),
    ],
)
def test_events_follow_the_dispatcher_of_the_worker(
    groups: set[str], enabled: bool, sends: bool
) -> None:
    flags.follow_events(SimpleNamespace(groups=groups, enabled=enabled))

    assert flags.sends_events() is sends


def test_without_a_dispatcher_a_worker_sends_no_events() -> None:
    flags.follow_events(None)

    assert not flags.sends_events()


# -- the post --------------------------------------------------------------------------------


def test_nobody_waits_while_the_broker_hangs(app: Celery, monitor: Monitor) -> None:
    monitor.go_on.clear()
    post = EventPost(app)

    for number in range(3 * EventPost.FULL):
        post.send("lock-acquired", {"number": number})

    assert monitor.sent == []
    monitor.go_on.set()


def test_two_threads_that_send_the_first_event_at_once_begin_one_thread(app: Celery) -> None:
    """Two would send the events of one process in another order than they were made."""
    post = EventPost(app)
    own = post._own.value
    post._begin(own)  # both have seen that there was none
    first = own.thread

    post._begin(own)

    assert own.thread is first


def test_a_thread_that_has_nothing_to_send_ends_and_the_next_event_begins_another(
    app: Celery, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app that nobody has any more leaves none behind: a test suite makes one for each test."""
    monkeypatch.setattr(alarm, "IDLE", 0.01)
    post = EventPost(app)
    post.send("first", {})
    first = post._own.value.thread
    assert first is not None

    first.join(PATIENCE)
    assert not first.is_alive()
    post.send("second", {})
    post._own.value.events.join()

    assert [type_ for type_, _ in monitor.sent] == ["first", "second"]


def test_a_post_that_nobody_has_any_more_is_gone(app: Celery) -> None:
    post = weakref.ref(EventPost(app))
    gc.collect()

    assert post() is None


def test_what_does_not_fit_any_more_is_dropped_and_the_rest_arrives(
    app: Celery, monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    monitor.go_on.clear()
    post = EventPost(app)
    post.send("first", {})
    assert monitor.taken.wait(PATIENCE)
    with caplog.at_level(logging.DEBUG, logger="celery_lock"):
        for _ in range(EventPost.FULL + 5):
            post.send("more", {})

    monitor.go_on.set()
    post._own.value.events.join()

    assert len(monitor.sent) == EventPost.FULL + 1
    assert caplog.text.count("is dropped") == 5


def test_an_event_that_cannot_be_sent_keeps_back_none_that_follow(
    app: Celery, monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    monitor.error = OSError("no broker")
    post = EventPost(app)
    with caplog.at_level(logging.DEBUG, logger="celery_lock"):
        post.send("first", {})
        post.send("second", {})
        post._own.value.events.join()

    assert [type_ for type_, _ in monitor.sent] == ["second"]
    assert "first could not be sent: no broker" in caplog.text


def test_an_event_lets_those_of_the_worker_go_first_and_tells_when_it_was(
    app: Celery, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EventPost, "AFTER", 3600.0)
    post, before = EventPost(app), time.time()

    post.send("late", {})
    after = time.time()

    assert not monitor.arrived.acquire(timeout=0.1)
    post._flush()  # the end of the process waits for nothing
    ((_, fields),) = monitor.sent
    assert before <= fields["timestamp"] <= after


def test_events_go_out_in_order(app: Celery, monitor: Monitor) -> None:
    post = EventPost(app)

    for number in range(100):
        post.send("e", {"number": number})
    post._own.value.events.join()

    assert [fields["number"] for _, fields in monitor.sent] == list(range(100))


def test_a_child_sends_its_own_events_and_none_of_its_parents(
    app: Celery, monitor: Monitor
) -> None:
    monitor.go_on.clear()
    post = EventPost(app)
    post.send("parent's", {})
    post.send("parent's", {})
    assert monitor.taken.wait(PATIENCE)

    def only_its_own() -> bool:
        monitor.go_on.set()
        post.send("child's", {})
        return monitor.arrived.acquire(timeout=4) and [type_ for type_, _ in monitor.sent] == [
            "child's"
        ]

    assert holds_in_a_child(only_its_own)
    monitor.go_on.set()
    post._own.value.events.join()
    assert len(monitor.sent) == 2


def test_the_end_of_a_process_waits_a_moment_for_what_is_on_its_way(
    app: Celery, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor.go_on.clear()
    post = EventPost(app)
    post.send("last", {})
    assert monitor.taken.wait(PATIENCE)
    frozen = SimpleNamespace(sleep=lambda seconds: monitor.go_on.set())
    monkeypatch.setattr("celery_lock.app.observing.time", frozen)

    post._flush()

    assert [type_ for type_, _ in monitor.sent] == ["last"]


def test_the_end_of_a_process_does_not_wait_for_ever(
    app: Celery, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor.go_on.clear()
    post = EventPost(app)
    post.send("last", {})
    assert monitor.taken.wait(PATIENCE)
    clock = ManualClock()
    monkeypatch.setattr("celery_lock.app.observing.time", SimpleNamespace(sleep=clock.move))
    monkeypatch.setattr("celery_lock.app.observing.monotonic", clock)

    post._flush()

    assert monitor.sent == []
    assert clock() == pytest.approx(0.5, abs=0.05)
    monitor.go_on.set()


def test_a_post_that_sent_nothing_has_no_thread_and_nothing_to_wait_for(app: Celery) -> None:
    before = threading.active_count()

    EventPost(app)._flush()

    assert threading.active_count() == before


# -- what happens to a fact ------------------------------------------------------------------


def test_a_stop_is_not_swallowed_by_those_who_are_told() -> None:
    def stopped(fact: Fact) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Observers(stopped).notify(acquired())


def test_a_process_that_is_asked_to_leave_leaves() -> None:
    """Celery's own way to stop a worker: from a signal handler, in whatever runs then."""

    def leaves(fact: Fact) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        Observers(leaves).notify(acquired())


def test_a_receiver_that_calls_exit_does_not_end_the_thread_that_renews() -> None:
    told: list[Fact] = []

    def leaves(fact: Fact) -> None:
        raise SystemExit

    thread = threading.Thread(target=Observers(leaves, told.append).notify, args=[acquired()])
    thread.start()
    thread.join()

    assert len(told) == 1


def test_the_observers_of_an_app_do_not_keep_it_alive() -> None:
    def make() -> tuple[weakref.ref[Celery], Callable[..., Any]]:
        app = Celery("gone", broker="memory://", set_as_current=False)
        return weakref.ref(app), observers(app, events=True).notify

    app, notify = make()
    gc.collect()

    assert app() is None
    notify(acquired())
