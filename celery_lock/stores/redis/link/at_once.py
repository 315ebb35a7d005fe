"""The same questions to several servers at the same time, all within one deadline.

One server that hangs must not spend the time of the others, so no socket here ever blocks: one
thread, the caller's, waits for all of them together. A name is looked up on a thread of its own,
since the system's resolver cannot be told how long; each of its addresses is asked, for nobody
knows beforehand which one answers.
"""

from __future__ import annotations

import queue
import selectors
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from typing import Any

from ....model.clock import monotonic
from ...link.selecting import selector
from .talk import Question, Replies, Talk

__all__ = ["Answer", "ask_at_once"]

Answer = Replies | Exception
"""One reply for each command; or why there is none."""

_Looked = list[Any] | Exception
"""The addresses of a name, or why there are none."""


def ask_at_once(
    questions: Sequence[Question], until: Callable[[], float]
) -> Generator[tuple[int, Answer], None, None]:
    """Yield the number of each question with its answer, as these come, until that time.

    Who is missing then has not answered. `close()` ends the talks that still go on.
    """
    talks = _Talks()
    try:
        for number, question in enumerate(questions):
            talks.begin(number, question)
        while talks.open and (left := until() - monotonic()) > 0:
            yield from talks.move_on(left)
    finally:
        talks.close()


class _Talks:
    """The talks that go on, and the names that are looked up for more of them."""

    def __init__(self) -> None:
        self.open: dict[int, int] = {}
        """Of each question that has no answer yet: how many talks may still bring it."""
        self._going: dict[Talk, None] = {}
        self._ended: list[tuple[int, Answer]] = []
        self._selector = selector()
        self._found: queue.SimpleQueue[tuple[int, Question, _Looked]] = queue.SimpleQueue()
        self._bell: tuple[socket.socket, socket.socket] | None = None
        """Rung by a thread that has looked a name up."""

    def begin(self, number: int, question: Question) -> None:
        """Connect to an address, or have the name looked up."""
        self.open[number] = 1
        found = _look_up(question, socket.AI_NUMERICHOST)
        if isinstance(found, list):
            self._connect(number, question, found)
            return
        if self._bell is None:
            try:
                self._bell = socket.socketpair()
            except OSError as error:
                self._ended.append((number, error))
                return
            self._selector.register(self._bell[0], selectors.EVENT_READ)
        bell = self._bell[1]

        def look() -> None:
            self._found.put((number, question, _look_up(question)))
            with suppress(OSError):  # nobody waits any more
                bell.send(b"!")

        try:
            threading.Thread(target=look, daemon=True, name="celery-lock resolver").start()
        except RuntimeError:  # the interpreter is shutting down
            look()

    def move_on(self, left: float) -> Iterator[tuple[int, Answer]]:
        """Wait until something happens, and yield the answers that it brings."""
        for key, _ in [] if self._ended else self._selector.select(left):
            if isinstance(key.data, Talk):
                self._selector.unregister(key.fileobj)
                self._go_on(key.data)
            elif self._bell is not None:
                self._bell[0].recv(1)
                self._connect(*self._found.get())
        ended, self._ended = self._ended, []
        for number, answer in ended:
            if number in self.open:  # no other address of it has answered
                self.open[number] -= 1
                if isinstance(answer, list) or not self.open[number]:
                    del self.open[number]
                    yield number, answer

    def close(self) -> None:
        """End all talks; a look-up that still goes on finds nobody."""
        for talk in self._going:
            talk.close()
        self._selector.close()
        for end in self._bell or ():
            end.close()

    def _connect(self, number: int, question: Question, found: _Looked) -> None:
        if isinstance(found, Exception):
            self._ended.append((number, found))
            return
        self.open[number] = len(found)
        for family, kind, protocol, _, address in found:
            try:
                talk = Talk(number, question, socket.socket(family, kind, protocol), address)
            except OSError as error:
                self._ended.append((number, error))
            else:
                self._going[talk] = None
                self._go_on(talk)

    def _go_on(self, talk: Talk) -> None:
        """Let a talk go on until it waits, or is over."""
        try:
            event = next(talk.steps)
            self._selector.register(talk.sock, event, talk)
            return
        except StopIteration as over:
            self._ended.append((talk.number, over.value))
        except Exception as error:
            self._ended.append((talk.number, error))
        del self._going[talk]
        talk.close()


def _look_up(question: Question, flags: int = 0) -> _Looked:
    try:
        return socket.getaddrinfo(question.host, question.port, 0, socket.SOCK_STREAM, 0, flags)
    except (OSError, UnicodeError) as error:
        return error
