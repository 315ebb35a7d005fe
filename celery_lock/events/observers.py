"""The observers of facts, which are notified of each and cannot hurt.

The engine only makes facts; log lines, signals, events and counters are made by observers.
An observer that raises hurts nobody: not the task, not the other observers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from .facts import Fact, Subject
from .unwritten import write

__all__ = ["Counter", "Observer", "Observers", "Reader"]

logger = logging.getLogger("celery_lock")

Observer = Callable[[Fact], None]


@runtime_checkable
class Reader(Protocol):
    """An observer that says beforehand whether it reads a fact at all."""

    def __call__(self, fact: Fact) -> None: ...

    def wants(self, kind: type[Fact]) -> bool:
        """Whether it would do anything about an ordinary fact of this kind, at this moment.

        Ordinary is a fact that the first rule of its row is for.
        """
        ...


@runtime_checkable
class Counter(Protocol):
    """An observer that counts facts, which needs to see no ordinary one for it."""

    def __call__(self, fact: Fact) -> None: ...

    def count(self, kind: type[Fact], subject: Subject) -> None:
        """Count one ordinary fact of this kind."""


class Observers:
    """The observers of an app, notified in the order in which they were added."""

    def __init__(self, *observers: Observer) -> None:
        self._observers: list[Observer] = []
        self._wants: list[Callable[[type[Fact]], bool]] = []
        self._counts: list[Callable[[type[Fact], Subject], None]] = []
        for observer in observers:
            self.add(observer)

    def add(self, observer: Observer) -> None:
        """Notify `observer` as well, from now on."""
        self._observers.append(observer)
        if isinstance(observer, Counter):
            self._counts.append(observer.count)
        else:
            self._wants.append(observer.wants if isinstance(observer, Reader) else _everything)

    def only_counted(self, kind: type[Fact], subject: Subject) -> bool:
        """Count an ordinary fact that nobody reads; `False`: somebody does, so make it and notify.

        Two facts are made in every run, and most processes only count them.
        """
        try:
            for wants in self._wants:
                if wants(kind):
                    return False
        except Exception:
            said = "an observer cannot say whether it wants a %s"
            write(logger, logging.ERROR, said, kind.__name__, exc_info=True)
            return False
        for count in self._counts:
            count(kind, subject)
        return True

    def notify(self, fact: Fact) -> None:
        """Call every observer with `fact`; raises nothing but what stops the process."""
        for observer in self._observers:
            try:
                observer(fact)
            except (Exception, SystemExit) as error:
                is_stop = threading.current_thread() is threading.main_thread()
                if isinstance(error, SystemExit) and is_stop:
                    raise  # of the process, by a signal perhaps; elsewhere it ends a thread alone
                said = "an observer failed on %s"
                write(logger, logging.ERROR, said, type(fact).__name__, exc_info=True)


def _everything(kind: type[Fact]) -> bool:
    """Say that an observer which says nothing of the kind reads every fact."""
    return True
