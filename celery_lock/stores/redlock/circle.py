"""One connection to each node, used by one call at a time: all are asked at once.

No thread waits for a node. The caller waits for all of them with one `poll`, until enough have
answered; who has not by then answers later, on the same connection, to whoever uses it next.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from functools import partial
from typing import Any

from ...model.clock import monotonic
from ..link.deadline_socket import ConnectionLost, DeadlineExceeded
from ..redis.link.errors import translated
from ..redis.link.linking import Call
from ..redis.link.resp import ProtocolError
from .answers import SILENT, Answers, Enough, is_failure
from .gathering import Gathering
from .node import Node

__all__ = ["Circle"]


class Circle:
    """The connections of one call at a time."""

    def __init__(self, nodes: Sequence[Node], deadline: float) -> None:
        self._nodes = nodes
        self._deadline = deadline
        self._majority = len(nodes) // 2 + 1
        self._gathering = Gathering(nodes, deadline)
        self._wires = self._gathering.wires
        self._lost: set[int] = set()
        """Whose connections have ended in this call."""
        self._may_try_again = False
        """A call whose connection dies is sent once more over a new one."""

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
        asked, answers.is_vote = answers.asked, votes
        try:
            self._begin()
            places: Sequence[int] = range(len(self._wires))
            for self._may_try_again in (True, False):
                self._gathering.gather(ends, votes)
                self._lost.clear()
                if votes and not self._may_decide(answers):
                    break
                for at in places:
                    wire, call = self._wires[at], calls[at]
                    if (
                        call is not None
                        and wire.connected
                        and not (wire.full or (votes and wire.is_young))
                    ):
                        asked.add(at)
                        self._send(at, call, answers, again)
                self._listen(answers, enough, ends)
                places = [at for at in self._lost if answers[at] is SILENT]
                if not places or enough(answers) or monotonic() >= ends:
                    break
        except BaseException:
            self.close()  # a stop fell in between: nobody knows what was sent, and what was read
            raise
        answers.is_over = True
        for at, wire in enumerate(self._wires):
            if answers[at] is SILENT and not wire.connected:
                answers[at] = self._gathering.failure(at)
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
        self._gathering.drop()

    def retire(self) -> None:
        """End all connections, those too that are still to come."""
        self._gathering.is_closed = True
        self.close()

    def _may_decide(self, answers: Answers) -> bool:
        """Note which nodes are too young to vote; `False`: the others are no majority."""
        voting = 0
        for at, wire in enumerate(self._wires):
            if wire.connected and wire.is_young:
                answers[at] = self._nodes[at].young(wire.votes_from)
            else:
                voting += wire.connected
        return voting >= self._majority

    # -- sending and hearing -----------------------------------------------------------------

    def _begin(self) -> None:
        """Read what has come since, and give up a connection that has been silent for long."""
        self._gathering.collect()
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
        if not isinstance(answer, Exception):
            answers[at] = answer
            node.answered(monotonic() - asked)
        elif answers.is_over or not (isinstance(answer, ConnectionLost) and self._may_try_again):
            answers[at] = translated(answer, node.address, self._deadline)
            answers[at].__cause__ = answer
        if answers.undo is not None and isinstance(answer, (int, Exception)):
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
                patient = {at: self._patient_until(at, answers, ends) for at in waiting}
                waiting = [at for at in waiting if patient[at] > now]
                until = min(ends, max(patient.values(), default=now))
            if not waiting or until <= now:
                break
            for at in self._ready(waiting, until - now):
                self._exchange(at)

    def _patient_until(self, at: int, answers: Answers, ends: float) -> float:
        """Return until when a node is waited for, once a majority has answered.

        A claim can be decided in another way; anything else waits for all but those that were late
        before.
        """
        late_since = self._wires[at].late_since
        if answers.is_vote or late_since < answers.began:
            return late_since + self._nodes[at].patience
        return ends

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


def _nobody(answer: Any) -> None:
    """Hear an answer that nobody waits for."""
