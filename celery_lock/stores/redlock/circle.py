"""One connection to each node, used by one call at a time: all are asked at once.

No thread waits for a node. The caller waits for all of them with one `poll`, until enough have
answered; who has not by then answers later, on the same connection, to whoever uses it next.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ...errors import StoreError
from ...model.clock import monotonic
from ..link.deadline_socket import ConnectionLost, DeadlineExceeded
from ..redis.link.errors import translated
from ..redis.link.linking import Call
from ..redis.link.resp import ProtocolError
from .answers import SILENT, Answers, Enough, Silent, is_failure
from .node import Node, Opened
from .wire import Wire

__all__ = ["Circle"]

GATHER = 0.05
"""Seconds that the first call waits for the rest of the nodes when a majority is connected."""


class Circle:
    """The connections of one call at a time."""

    def __init__(self, nodes: Sequence[Node], deadline: float) -> None:
        self._nodes = nodes
        self._deadline = deadline
        self._majority = len(nodes) // 2 + 1
        self._wires = [Wire() for _ in nodes]
        self._opened: dict[int, Opened | None] = {}
        """What threads that connect have handed over."""
        self._connecting: set[int] = set()
        self._lost: set[int] = set()
        """Whose connections have ended in this call."""
        self._majority_since = 0.0
        self._settled = threading.Event()
        self._closed = False

    def ask(
        self,
        calls: Sequence[Call | None],
        enough: Enough,
        ends: float,
        *,
        votes: bool = False,
        again: float = 0.0,
    ) -> Answers:
        """Ask all nodes, until their answers are enough; return these.

        The answers that are still due are put into the same list as they come.

        Args:
            calls: one for each node; `None`: it is not asked.
            enough: says when the answers decide. All that can answer soon are waited for else.
            ends: when to stop waiting.
            votes: a node that may not vote is not asked.
            again: until when a node that misses the call is to hear of it as it comes back.
        """
        answers = Answers(len(self._wires), self)
        asked = answers.asked
        try:
            self._begin()
            places: Sequence[int] = range(len(self._wires))
            for _ in range(2):
                self._gather(ends)
                self._lost.clear()
                now = monotonic()
                for at in places:
                    wire, call = self._wires[at], calls[at]
                    if call is None or not wire.connected or wire.full:
                        continue
                    if votes and wire.votes_from > now:
                        answers[at] = self._nodes[at].young(wire.votes_from)
                        continue
                    answers[at] = SILENT
                    asked.add(at)
                    self._send(at, call, answers, again)
                self._listen(answers, enough, ends)
                places = [at for at in self._lost if is_failure(answers[at])]
                if not places or enough(answers) or monotonic() >= ends:
                    break
        except BaseException:
            self.close()  # a stop fell in between: nobody knows what was sent, and what was read
            raise
        for at, wire in enumerate(self._wires):
            if answers[at] is SILENT and not wire.connected:
                answers[at] = self._failure(at)
            call = calls[at]
            if again and call is not None and at not in asked:
                self._nodes[at].missed.append((call, again))
        return answers

    def listen(self, seconds: float) -> None:
        """Hear answers that are still due, for so long."""
        try:
            self._begin()
            nobody = Answers(len(self._wires), self)
            nobody.asked.update(at for at, wire in enumerate(self._wires) if wire.owes)
            self._listen(nobody, lambda _: False, monotonic() + seconds)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all connections. What the nodes have missed they hear of over others."""
        for at in range(len(self._wires)):
            self._lose(at, ConnectionLost("it was given up"))
        while self._opened:
            at, opened = self._opened.popitem()
            self._connecting.discard(at)
            if opened is not None:
                opened.connection.close()

    def retire(self) -> None:
        """End all connections, those too that are still to come."""
        self._closed = True
        self.close()

    # -- sending and hearing -----------------------------------------------------------------

    def _begin(self) -> None:
        """Read what has come since, and give up a connection that has been silent for long."""
        self._collect()
        for at, wire in enumerate(self._wires):
            if wire.owes:
                self._exchange(at)
                if wire.is_hung(self._deadline):
                    self._lose(at, DeadlineExceeded())

    def _send(self, at: int, call: Call, answers: Answers, again: float) -> None:
        wire, node = self._wires[at], self._nodes[at]
        if node.missed:
            for missed, until in node.owing():
                wire.ask(missed, _nobody, until)
        wire.ask(call, partial(self._hear, answers, at, monotonic()), again)
        try:
            wire.send()
        except ConnectionLost as error:
            self._lose(at, error)

    def _hear(self, answers: Answers, at: int, asked: float, answer: Any) -> None:
        node = self._nodes[at]
        if isinstance(answer, Exception):
            answers[at] = translated(answer, node.address, self._deadline)
            answers[at].__cause__ = answer
        else:
            answers[at] = answer
            node.answered(monotonic() - asked)
        if answers.undo is not None and (is_failure(answers[at]) or isinstance(answer, int)):
            node.missed.append(answers.undo)

    def _listen(self, answers: Answers, enough: Enough, ends: float) -> None:
        """Wait for answers until they are enough, or nobody is left to wait for."""
        while not enough(answers):
            waiting = [
                at
                for at in answers.asked
                if answers[at] is SILENT and self._wires[at].connected and self._wires[at].owes
            ]
            now = monotonic()
            until = ends
            if sum(not is_failure(answer) for answer in answers) >= self._majority:
                patient = {
                    at: self._wires[at].late_since + self._nodes[at].patience for at in waiting
                }
                waiting = [at for at in waiting if patient[at] > now]
                until = min(ends, max(patient.values(), default=now))
            if not waiting or until <= now:
                break
            for at in self._ready(waiting, until - now):
                self._exchange(at)

    def _ready(self, places: Sequence[int], seconds: float) -> list[int]:
        """Wait, for so long at most, until some of these connections can be used."""
        numbers = {self._wires[at].fileno(): at for at in places}
        sending = [n for n, at in numbers.items() if self._wires[at].waits_to_send]
        if not hasattr(select, "poll"):  # Windows
            found = select.select(list(numbers), sending, [], seconds)
            return [numbers[number] for number in {*found[0], *found[1]}]
        poll = select.poll()
        for number in numbers:
            poll.register(number, select.POLLIN | (select.POLLOUT if number in sending else 0))
        return [numbers[number] for number, _ in poll.poll(seconds * 1000)]

    def _exchange(self, at: int) -> None:
        """Send and read what is possible now."""
        wire = self._wires[at]
        try:
            if wire.waits_to_send:
                wire.send()
            wire.read()
        except (ConnectionLost, ProtocolError) as error:
            self._lose(at, error)

    def _lose(self, at: int, error: Exception) -> None:
        wire, node = self._wires[at], self._nodes[at]
        if wire.connected:
            node.missed.extend(wire.lose(error))
            self._lost.add(at)
            if not isinstance(error, ConnectionLost):  # a new connection may do after that
                node.failed(translated(error, node.address, self._deadline))

    # -- connecting --------------------------------------------------------------------------

    def _gather(self, ends: float) -> None:
        """See to it that a majority is connected, if that is possible before `ends`."""
        for at, wire in enumerate(self._wires):
            node = self._nodes[at]
            if not wire.connected and at not in self._connecting and node.may_connect():
                self._connecting.add(at)
                node.connect(self._deadline, partial(self._hand_over, at), self._same_as(at))
        while self._connecting:
            self._settled.clear()
            self._collect()
            until = ends
            if sum(wire.connected for wire in self._wires) >= self._majority:
                if all(self._nodes[at].error for at in self._connecting):
                    break  # they have been away before
                until = min(until, self._majority_since + GATHER)
            left = until - monotonic()
            if not self._connecting or left <= 0:
                break
            self._settled.wait(left)

    def _collect(self) -> None:
        """Use the connections that have come about meanwhile."""
        while self._opened:
            at, opened = self._opened.popitem()
            self._connecting.discard(at)
            if opened is not None:
                self._wires[at].open(opened.connection, opened.votes_from)
                self._majority_since = monotonic()

    def _hand_over(self, at: int, opened: Opened | None) -> None:
        """Take an outcome from the thread that has connected."""
        if self._closed and opened is not None:
            opened.connection.close()
            return
        self._opened[at] = opened
        self._settled.set()

    def _same_as(self, at: int) -> Callable[[str], str]:
        def same(run_id: str) -> str:
            others = (node for node in self._nodes if node is not self._nodes[at])
            return next((one.shown for one in others if run_id and one.run_id == run_id), "")

        return same

    def _failure(self, at: int) -> StoreError | Silent:
        """Return why a node could not be asked. Raises an error that is no node's."""
        error = self._nodes[at].error
        if error is None:
            return SILENT
        if not isinstance(error, StoreError):
            raise error
        return error


def _nobody(answer: Any) -> None:
    """Hear an answer that nobody waits for."""
