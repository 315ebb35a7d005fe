"""All nodes of a store: a call asks them at once, within a deadline, over the process's wires."""

from __future__ import annotations

from collections.abc import Sequence
from queue import Empty, LifoQueue

from ...errors import StoreError, StoreUnavailable
from ...model.clock import monotonic
from ...model.per_process import PerProcess, look_for_fork
from ..redis.link.linking import Call
from .addresses import Addresses
from .answers import SILENT, Answers, Enough, is_failure
from .circle import Circle
from .node import Node

__all__ = ["Nodes"]


class _Own:
    """What one process has: what it knows of the nodes, and its connections."""

    def __init__(self, addresses: Addresses, deadline: float, size: int) -> None:
        self.nodes = [Node(address, addresses.longest_ttl) for address in addresses.nodes]
        self.circles = [Circle(self.nodes, deadline) for _ in range(size)]  # none is connected yet
        self.idle: LifoQueue[Circle] = LifoQueue()
        for circle in self.circles:
            self.idle.put(circle)


class Nodes:
    """What the store says and hears."""

    def __init__(self, addresses: Addresses, *, deadline: float, connections: int) -> None:
        self.deadline = deadline
        self.url = addresses.shown
        """Where they are, without users, passwords and query."""
        self.count = len(addresses.nodes)
        self.majority = self.count // 2 + 1
        self._own = PerProcess(lambda: _Own(addresses, deadline, connections))

    def ask(
        self,
        calls: Call | Sequence[Call | None],
        enough: Enough,
        *,
        ends: float | None = None,
        votes: bool = False,
        again: float = 0.0,
    ) -> Answers:
        """Ask all nodes the same, or each its own; see `Circle.ask`.

        `again`: the seconds for which a node that misses the call is to hear of it later.
        """
        now = monotonic()
        if ends is None:
            ends = now + self.deadline
        each: Sequence[Call | None] = [calls] * self.count if isinstance(calls, tuple) else calls
        own, circle = self._take(ends)
        try:
            until = now + again if again else 0.0
            return circle.ask(each, enough, ends, votes=votes, again=until)
        finally:
            own.idle.put(circle)

    def enough(self, answers: Answers) -> bool:
        """A majority has answered, or cannot answer any more."""
        return sum(
            not is_failure(answer) for answer in answers
        ) >= self.majority or self.is_hopeless(answers)

    def is_hopeless(self, answers: Answers) -> bool:
        """So many nodes have failed that no majority is left."""
        return sum(isinstance(one, StoreError) for one in answers) > self.count - self.majority

    def undo_late(self, answers: Answers, undo: Call, seconds: float) -> None:
        """Let each node hear of an undo that grants the claim though it is over: for so long."""
        answers.undo = late = (undo, monotonic() + seconds)
        for at in answers.unknown:
            if answers[at] is not SILENT:
                self.nodes[at].missed.append(late)

    def listen(self, seconds: float, ends: float) -> None:
        """Hear answers that are still due, for so long."""
        own, circle = self._take(ends)
        try:
            circle.listen(seconds)
        finally:
            own.idle.put(circle)

    @property
    def nodes(self) -> list[Node]:
        """What this process knows of each."""
        return self._own.value.nodes

    def close(self) -> None:
        """End this process's connections. The next call opens some again."""
        look_for_fork()
        own = self._own.drop()
        if own is not None:
            for circle in own.circles:
                circle.retire()

    def unavailable(self, answers: Answers) -> StoreError:
        """Return the error of a call that had no majority: it says what was heard of each node."""
        heard = [answer for answer in answers if isinstance(answer, StoreError) or answer is SILENT]
        said = []
        for node, answer in zip(self.nodes, answers, strict=True):
            if answer is SILENT:
                said.append(f"{node.shown} gave no answer within {self.deadline:.3g} s")
            elif isinstance(answer, StoreUnavailable):
                said.append(f"{answer.url}: {answer.cause}")
            elif isinstance(answer, StoreError):
                said.append(str(answer))
        text = (
            f"{self.count - len(heard)} of its {self.count} nodes answered, and {self.majority} are"
            f" needed; {'; '.join(said)}"
        )
        lasting = [
            one
            for one in heard
            if isinstance(one, StoreError) and not isinstance(one, StoreUnavailable)
        ]
        if len(lasting) > self.count - self.majority:
            return StoreError(f"{self.url}: {text}")
        return StoreUnavailable(self.url, text)

    def _take(self, ends: float) -> tuple[_Own, Circle]:
        look_for_fork()
        own = self._own.value
        try:
            return own, own.idle.get_nowait()
        except Empty:
            pass
        try:
            return own, own.idle.get(timeout=max(ends - monotonic(), 0.001))
        except Empty:
            raise StoreUnavailable(
                self.url, f"all connections of this process stayed in use for {self.deadline:.3g} s"
            ) from None
