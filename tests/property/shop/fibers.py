"""Threads of which one runs at a time, from one step to the next, as a play says."""

from __future__ import annotations

import threading
from collections.abc import Callable

from celery_lock.model import ENDED_FOR

__all__ = ["Fiber", "Killed", "here", "stand"]

_local = threading.local()


class Killed(BaseException):
    """The process of this thread is dead: nothing that it does has any effect."""


class Fiber:
    """One thread, which stands still at each of its steps until it is moved on."""

    def __init__(self, run: Callable[[], None], is_dead: Callable[[], bool]) -> None:
        self.at = "start"
        """The step that it stands before."""
        self.until: float | None = None
        """When it wakes up by itself; `None`: it does not sleep."""
        self.ended: int | None = None
        """The retry number of the body that has ended in it."""
        self.message: tuple[int, str | None] = (0, None)
        """The retry number and the name of its message."""
        self.ended_at = 0.0
        """When that body ended."""
        self.done_at: float | None = None
        """When the message was acknowledged."""
        self.done = False
        self.error: BaseException | None = None
        self._go = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self._is_dead = is_dead
        self._thread = threading.Thread(target=self._main, args=(run,), daemon=True)
        self._thread.start()

    def _main(self, run: Callable[[], None]) -> None:
        _local.fiber = self
        self._go.acquire()
        try:
            if not self._is_dead():
                run()
        except Killed:
            pass
        except BaseException as error:  # a play shows it
            self.error = error
        self.done = True
        self._stands.release()

    def move(self) -> None:
        """Let it run up to its next step, or to its end."""
        self.until = None
        self._go.release()
        self._stands.acquire()
        if self.done:
            self._thread.join()
        if self.error is not None:
            raise self.error

    def stood_still_at_its_end(self, now: float) -> bool:
        """Much time has passed between the end of its body and the acknowledgement."""
        return (now if self.done_at is None else self.done_at) > self.ended_at + ENDED_FOR

    def stand(self, at: str, until: float | None = None) -> None:
        """Stand still before a step. Raises `Killed` where the process died meanwhile."""
        if self._is_dead():
            raise Killed
        self.at, self.until = at, until
        self._stands.release()
        self._go.acquire()
        if self._is_dead():
            raise Killed


def here() -> Fiber | None:
    """The fiber that runs; `None`: the play itself does."""
    return getattr(_local, "fiber", None)


def stand(at: str, until: float | None = None) -> None:
    """Stand still before a step, where a play moves this thread."""
    fiber = here()
    if fiber is not None:
        fiber.stand(at, until)
