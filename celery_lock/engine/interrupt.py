"""Interrupting a body whose lease was lost, and never what comes after the body.

There are three ways into a running body, one for each kind of place it may run in:

- the main thread, where the system has signals: a signal whose handler raises, at once, also in a
  sleep or a blocking read;
- a greenlet: the hub throws, at the point where the greenlet waits;
- any other thread, and everything on Windows: an asynchronous exception of CPython, at the next
  step of Python code.

What all share is the handshake of `Interrupt`. What arrives in a `__del__`, or in the callback of a
weak reference, is ignored by Python: it is sent once more.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol

from ..errors import LeaseLost
from ..model.mutex import new_mutex
from .ignored import hear_of, no_more_of

__all__ = ["SIGNAL", "Interrupt"]

SIGNAL: int | None = getattr(signal, "SIGURG", None) if hasattr(signal, "pthread_kill") else None
"""The signal of the first way; `None` on Windows. Neither Celery nor billiard uses it, and unlike
all others it is ignored by a process that has no handler: a late one could do nothing."""


class Interrupt:
    """Runs one body, which is interrupted at most once, and only between its start and its end.

    `lost` is called on any thread. It sends under a lock and only while the body is armed; the
    end of the body disarms under the same lock, and then takes back what was sent and has not
    arrived. So nothing is on its way any more when the key is given back.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self.sending = new_mutex()
        """Held by whoever sends."""
        self.way: Way | None = None
        """How an error gets into the body; `None`: the body does not run."""
        self.armed = False
        """The body runs. Read without the lock by what delivers, in the body's own thread."""
        self.error: LeaseLost | None = None
        """What is raised, or was."""

    def lost(self, reason: str, by: str | None = None, *, key: str | None = None) -> None:
        """Interrupt the body if it runs, refuse it if it has not begun; the first call counts.

        `key`: the one that is lost, where the body has several.
        """
        with self.sending:
            if self.error is not None:
                return
            self.error = LeaseLost(self._key if key is None else key, reason, by)
            if self.armed and self.way is not None:
                hear_of(self.error, self._ignored)
                self.way.send()

    def run(self, body: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call `body`. Raises `LeaseLost` where it is when the lease is lost, or what it raises.

        A loss in the moment of its end is none: what the body came to stands.
        """
        if self.way is not None:  # the body calls its own task
            return body(*args, **kwargs)
        try:
            self.way = _way_into(self)
            self.way.open()
            with self.sending:
                if self.error is not None:
                    raise self.error
                self.armed = True
            return body(*args, **kwargs)
        finally:
            self.armed = False  # no call before this: a handler that runs from here on is late
            try:
                self._disarm()
            except BaseException as error:  # ours in its last moment, or a time limit: comes once
                self._disarm()
                if error is not self.error:
                    raise

    def _disarm(self) -> None:
        with self.sending:  # who is sending has sent after this, and nobody begins
            way = self.way
        if way is not None:
            way.close()
        self.way = None
        if self.error is not None:
            no_more_of(self.error)

    def _ignored(self) -> None:
        way = self.way
        if self.armed and way is not None:
            way.send_again()


class Way(Protocol):
    """A way into a body. `open` and `close` are called where the body runs."""

    def open(self) -> None: ...

    def send(self) -> None:
        """Let the interrupt's error be raised in the body. Never raises, never waits."""

    def send_again(self) -> None:
        """Send it a moment later: Python ignored it where it arrived. Called there: no lock."""

    def close(self) -> None:
        """Take back what was sent and has not arrived. May be called twice."""


def _way_into(interrupt: Interrupt) -> Way:
    """Return the way that fits the place in which this is called."""
    gevent = sys.modules.get("gevent")
    if gevent is not None:
        monkey = sys.modules.get("gevent.monkey")
        patched = monkey is not None and monkey.is_module_patched("threading")
        if patched or gevent.getcurrent().parent is not None:
            return ByGreenlet(interrupt, gevent)
    if (
        SIGNAL is not None
        and threading.get_ident() == threading.main_thread().ident
        and signal.getsignal(SIGNAL) is not None  # a handler in C, which nobody could put back
    ):
        return BySignal(interrupt, SIGNAL)
    return ByThread(interrupt)


# -- the main thread -----------------------------------------------------------------------------


class BySignal:
    """A signal to the main thread."""

    around: list[BySignal] = []  # noqa: RUF012 (one for the process, as its signals are)
    """The open ones, outermost first: a body may apply another locked task in its own thread."""
    users: Any = None
    """The handler that was there before the outermost."""

    def __init__(self, interrupt: Interrupt, number: int) -> None:
        self._interrupt = interrupt
        self._number = number
        self._thread = threading.get_ident()
        self.sent = False
        self._arrived = False

    def open(self) -> None:
        if not BySignal.around:
            BySignal.users = signal.getsignal(self._number)
            signal.signal(self._number, _on_signal)
        BySignal.around.append(self)

    def send(self) -> None:
        self.sent = True
        self._kill()
        # A signal that arrives as the body is about to wait, and no more looks for signals, is
        # seen only when the wait ends. It is for just such a wait that another thread may run
        # and send it: so it is sent until it has been seen.
        _beside(self._insist)

    def send_again(self) -> None:
        self._arrived = False
        _beside(self._insist)

    def _insist(self) -> None:
        pause = 0.005
        while True:
            time.sleep(pause)
            with self._interrupt.sending:
                if self._arrived or not self._interrupt.armed:
                    return
                self._kill()
            pause = min(pause * 2, 0.5)

    def _kill(self) -> None:
        with suppress(OSError):  # the thread is gone
            signal.pthread_kill(self._thread, self._number)

    def arrive(self) -> None:
        if self._interrupt.armed and not self._arrived and self._interrupt.error is not None:
            self._arrived = True
            raise self._interrupt.error

    def close(self) -> None:
        # signal.signal() lets a handler run for what has arrived before it puts in another; ours
        # finds nobody armed
        if self in BySignal.around:
            BySignal.around.remove(self)
        if not BySignal.around and signal.getsignal(self._number) is _on_signal:
            signal.signal(self._number, BySignal.users)


def _on_signal(number: int, frame: FrameType | None) -> None:
    sent = [way for way in BySignal.around if way.sent]
    for way in sent:
        way.arrive()
    if not sent and callable(BySignal.users):
        BySignal.users(number, frame)


# -- a greenlet ----------------------------------------------------------------------------------


class ByGreenlet:
    """A throw by the hub of the body's thread.

    The hub runs while the body waits, so the body cannot end between the look at `armed` and the
    throw. `Greenlet.kill()` has no such look, and could hit whatever the greenlet does next.
    """

    def __init__(self, interrupt: Interrupt, gevent: Any) -> None:
        self._interrupt = interrupt
        self._greenlet = gevent.getcurrent()
        self._loop = gevent.get_hub().loop

    def open(self) -> None:
        """Nothing has to be made ready."""

    def send(self) -> None:
        self._loop.run_callback_threadsafe(self._throw)

    send_again = send

    def _throw(self) -> None:
        if self._interrupt.armed:
            self._greenlet.throw(self._interrupt.error)

    def close(self) -> None:
        """What was sent finds nobody armed."""


# -- any other thread ----------------------------------------------------------------------------


class ByThread:
    """An asynchronous exception of CPython."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt
        self._thread = threading.get_ident()
        self._sent = False
        self._arrived = False

    def open(self) -> None:
        """Nothing has to be made ready."""

    def send(self) -> None:
        self._sent = True
        # a class is asked for, and called without arguments where it is raised
        _raise_in(self._thread, type("LeaseLost", (LeaseLost,), {"__new__": self._arrive}))

    def send_again(self) -> None:
        self._sent = self._arrived = False
        _beside(self._send_soon)

    def _send_soon(self) -> None:
        time.sleep(0.005)
        with self._interrupt.sending:
            if self._interrupt.armed:
                self.send()

    def _arrive(self, cls: type, *again: object) -> LeaseLost | None:
        # (Python 3.10 calls it a second time, with what it gave the first time)
        self._arrived = True
        return self._interrupt.error

    def close(self) -> None:
        # Let it come, here. CPython could be asked to forget it; but then, up to 3.12, every
        # thread of the process goes on looking for it at every step for ever, and one that is
        # traced goes no step further.
        if self._sent and not self._arrived:
            with suppress(LeaseLost):
                for _ in range(100):  # it comes at the first, unless C code has swallowed it
                    pass


def _beside(step: Callable[[], None]) -> None:
    """Take a step on a thread of its own, which is not waited for: anything may be on the stack."""
    with suppress(RuntimeError):  # no more threads: then what was sent has to do
        _thread.start_new_thread(step, ())


def _raise_in(thread: int, error: type[BaseException]) -> None:
    """Raise `error` in another thread, at its next step."""
    import ctypes

    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raise_in(ctypes.c_ulong(thread), ctypes.py_object(error))
