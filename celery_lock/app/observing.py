"""The observers of one app: log, counters, signals, and Celery's events from a thread apart."""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable
from time import time as wall_clock
from typing import Any

from celery.app.events import Events

from ..engine import alarm
from ..events import Fact, Observers
from ..events.log_lines import log_lines
from ..events.task_events import event_observer
from ..metrics import counters
from ..model.clock import monotonic
from ..model.mutex import new_mutex
from ..model.per_process import PerProcess
from ..signals import signal_observer
from .settings import Settings

__all__ = ["EventPost", "know_earlier_names", "last_words", "observers_of"]

logger = logging.getLogger("celery_lock")


Wanted = Callable[[], bool]

_CELERYS_RECEIVER = "celery.events.receiver:EventReceiver"
_OUR_RECEIVER = "celery_lock.app.receiving:LockEventReceiver"


def know_earlier_names() -> None:
    """Let `app.events.Receiver` know what our events were called before, unless it is a user's."""
    if Events.receiver_cls == _CELERYS_RECEIVER:
        Events.receiver_cls = _OUR_RECEIVER


def observers_of(
    app: Any, settings: Settings, *, events: Wanted, hostname: str | None = None
) -> Observers:
    """Return the observers of an app, those of Celery's monitors among them.

    `events`: whether events are wanted at this moment, where the settings do not say so.
    `hostname`: the worker's, by which monitors know it; Celery gives a process without one a name
    of its own.
    """
    ref = weakref.ref(app)

    def sender(fact: Fact) -> object:
        alive = ref()
        return fact.task if alive is None else alive.tasks.get(fact.task, fact.task)

    observers = Observers(log_lines, counters, signal_observer(sender))
    setting = settings.send_events
    if setting is not False:
        wanted = events if setting is None else _always
        observers.add(_Monitors(sender, EventPost(app, hostname), wanted))
    return observers


def _always() -> bool:
    return True


class _Monitors:
    """An observer that sends the event of each fact, as long as monitors want to receive them."""

    def __init__(self, task_of: Callable[[Fact], object], post: EventPost, wanted: Wanted) -> None:
        self._task_of = task_of
        self._observe = event_observer(post.send)
        self._wanted = wanted

    def __call__(self, fact: Fact) -> None:
        # a task may say for itself that it has no events: that holds for ours too
        if self._wanted() and getattr(self._task_of(fact), "send_events", True):
            self._observe(fact)

    def wants(self, kind: type[Fact]) -> bool:
        """Whether monitors want to receive events at this moment."""
        return self._wanted()


def last_words() -> None:
    """Say what is still to be said as this process ends.

    For a process that `atexit` does not see: the children of a prefork pool leave without it.
    """
    log_lines.flush()
    _flush_posts()


def _flush_posts() -> None:
    for post in list(_posts):
        post._flush()


class EventPost:
    """Sends events from a thread of its own, so that no task and no lease waits for the broker.

    An event that cannot be sent is dropped: it is news, not a record.
    """

    FULL = 1000
    """Events that wait at most. More would be told later, and cost memory while a broker hangs."""

    AFTER = 0.25
    """Seconds from a fact to its event. Celery's main process says that the task has started, and
    a pool process that it has its lock: a monitor that heard of the lock first would show a task
    that has not started. Longer: later news. Shorter: the wrong order beside a busy worker."""

    def __init__(self, app: Any, hostname: str | None = None) -> None:
        """`hostname`: whose events they are; `None`: those of a process that is no worker."""
        self._app = weakref.ref(app)
        self._hostname = hostname
        self._own = PerProcess(lambda: _Waiting(self.FULL))
        _posts.add(self)

    def send(self, type_: str, fields: dict[str, Any]) -> None:
        """Take an event on its way; never waits."""
        own = self._own.value
        try:
            due, at = monotonic() + self.AFTER, {"timestamp": wall_clock()}
            own.events.put_nowait((due, type_, {**at, **fields}))
        except queue.Full:
            logger.debug("the event %s is dropped: %d wait already", type_, self.FULL)
        self._begin(own)

    def _begin(self, own: _Waiting) -> None:
        """Start the thread, one alone: two would change the order of the events."""
        with own.begins:
            if own.thread is None:
                thread = threading.Thread(
                    target=self._run, args=(own,), name="celery-lock-events", daemon=True
                )
                thread.start()
                own.thread = thread

    def _run(self, own: _Waiting) -> None:
        while True:
            try:
                due, type_, fields = own.events.get(timeout=alarm.IDLE)
            except queue.Empty:
                with own.begins:
                    if own.events.empty():  # what comes after this begins another one
                        own.thread = None
                        return
                continue
            own.leaves.wait(max(0.0, due - monotonic()))
            app = self._app()
            try:
                if app is not None:
                    with app.events.default_dispatcher(hostname=self._hostname) as dispatcher:
                        dispatcher.send(type_, **fields)
            except Exception as exc:
                logger.debug("the event %s could not be sent: %s", type_, exc)
            finally:
                own.events.task_done()

    def _flush(self) -> None:
        """Give what waits a moment, as the process ends."""
        own, until = self._own.value, monotonic() + 0.5
        own.leaves.set()
        while own.events.unfinished_tasks:
            if own.thread is None or monotonic() > until:
                return
            time.sleep(0.01)


class _Waiting:
    """The events that wait in one process, and the thread that sends them."""

    def __init__(self, most: int) -> None:
        self.events: queue.Queue[tuple[float, str, dict[str, Any]]] = queue.Queue(most)
        self.begins = new_mutex()
        self.leaves = threading.Event()
        """The process ends: what waits is sent at once."""
        self.thread: threading.Thread | None = None


_posts: weakref.WeakSet[EventPost] = weakref.WeakSet()
"""Those of this process: one whose thread has something to send lives as long as that."""

atexit.register(_flush_posts)
