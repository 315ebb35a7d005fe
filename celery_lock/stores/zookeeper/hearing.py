"""A handler of kazoo that lets a link hear of each try to connect, and wake the next one."""

from __future__ import annotations

import atexit
import select
import sys
from collections.abc import Callable
from threading import Event
from typing import Any

from kazoo.handlers.threading import SequentialThreadingHandler

__all__ = ["Hearing", "Hears", "handler"]

IDLE = 1.0
"""Seconds between two rounds over all servers while nobody asks for anything. Longer finds a
server that is back later, shorter knocks more often."""
PAUSE = 0.02
"""Seconds between two rounds while somebody waits."""


class Hears:
    """What a link hears: kazoo's own thread calls it, and it must not block."""

    def round_failed(self, errors: list[OSError], reached: int) -> None:
        """No server of all took the connection; `reached`: how many have closed it again."""
        raise NotImplementedError

    def ended(self, handler: Hearing) -> None:
        """A thread of this handler has ended: its client is of no use any more."""
        raise NotImplementedError


class Hearing:
    """What is added to a handler of kazoo, whichever kind it is."""

    def __init__(self, hears: Hears, patience: float) -> None:
        super().__init__()
        self._hears = hears
        self._patience = patience
        self._errors: list[OSError] = []
        self._reached = 0
        self.wanted = Event()
        """Set by who waits for a connection."""

    def start(self) -> None:
        """Start the threads, and leave nothing for the end of the process.

        They are daemons. And a child that was forked would wait there for threads that it has not.
        """
        super().start()  # type: ignore[misc]  # the handler that stands beside
        atexit.unregister(self.stop)  # type: ignore[attr-defined]

    def spawn(self, function: Callable[..., object], *args: Any, **options: Any) -> Any:
        """Start a thread, or a greenlet."""

        def run() -> None:
            try:
                function(*args, **options)
            except Exception:  # kazoo has read what it does not understand, and gives up
                pass
            finally:
                self._hears.ended(self)

        return self.aside(run)

    def aside(self, function: Callable[[], object]) -> Any:
        """Start a thread, or a greenlet, whose end says nothing."""
        return super().spawn(function)  # type: ignore[misc]

    def create_connection(self, *args: Any, **options: Any) -> Any:
        """Connect to one server, within a part of the deadline."""
        options["timeout"] = min(options.get("timeout") or self._patience, self._patience)
        try:
            connection = super().create_connection(*args, **options)  # type: ignore[misc]
        except OSError as error:
            self._errors.append(error)
            raise
        self._reached += 1
        return connection

    def forget_errors(self) -> None:
        """A connection has come about: what the servers before it in the round said is over."""
        self._errors = []

    def sleep_func(self, seconds: float) -> None:
        """Pause after a round over all servers, which has failed."""
        errors, self._errors = self._errors, []
        reached, self._reached = self._reached, 0
        self.wanted.clear()  # before those who wait hear of it, and set it again
        self._hears.round_failed(errors, reached)
        Event().wait(PAUSE)
        self.wanted.wait(IDLE)


class Polling(SequentialThreadingHandler):  # type: ignore[misc]  # it has no types
    """Threads whose waits for a socket cost less: kazoo makes a selector for each."""

    def select(
        self, reads: Any, writes: Any, others: Any, timeout: float | None = None
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """Return those of these that are ready."""
        if _poll is None or others:
            found: tuple[list[Any], list[Any], list[Any]]
            found = super().select(reads, writes, others, timeout)
            return found
        polling = _poll()
        for one in reads:
            polling.register(one, select.POLLIN)
        for one in writes:
            polling.register(one, select.POLLOUT)
        ready = {number for number, _ in polling.poll(None if timeout is None else timeout * 1000)}
        return (
            [one for one in reads if one.fileno() in ready],
            [one for one in writes if one.fileno() in ready],
            [],
        )


_poll: Any = getattr(select, "poll", None)  # Windows has none


def handler(hears: Hears, patience: float) -> Any:
    """Return a new handler: with greenlets where gevent has taken the place of threads."""
    kind: Any = Polling
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        from kazoo.handlers.gevent import SequentialGeventHandler

        kind = SequentialGeventHandler
    return type(kind.__name__, (Hearing, kind), {})(hears, patience)
