"""All nodes of a store: a call asks them at once, within a deadline, over the process's wires."""

from __future__ import annotations

from contextlib import suppress
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
        self.idle: LifoQueue[Circle] = LifoQueue()
        for _ in range(size):
            self.idle.put(Circle(self.nodes, deadline))  # it is not connected yet
        self.is_closed = False

    def give(self, circle: Circle) -> None:
        """Take connections back that were in use."""
        if self.is_closed:
            circle.retire()
        self.idle.put(circle)

    def close(self) -> None:
        """End the idle connections now, and those in use as they come back."""
        self.is_closed = True
        with suppress(Empty):
            while True:
                self.idle.get_nowait().retire()


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
        calls: Call | list[Call | None],
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
        each: list[Call | None] = calls if isinstance(calls, list) else [calls] * self.count
        own, circle = self._take(ends)
        try:
            until = now + again if again else 0.0
            return circle.ask(each, enough, ends, votes=votes, again=until)
        finally:
            own.give(circle)

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
            own.give(circle)

    @property
    def nodes(self) -> list[Node]:
        """What this process knows of each."""
        return self._own.value.nodes

    def close(self) -> None:
        """End this process's connections. The next call opens some again."""
        look_for_fork()
        own = self._own.drop()
        if own is not None:
            own.close()

    def unavailable(self, answers: Answers) -> StoreError:
        """Return the error of a call that had no majority: it says what was heard of each node."""
        said: dict[str, list[str]] = {}
        lasting = 0
        late = f"it gave no answer in time (lock_store_deadline is {self.deadline:.3g} s)"
        for node, answer in zip(self.nodes, answers, strict=True):
            if answer is SILENT and not self.is_hopeless(answers):
                why = late
            elif isinstance(answer, StoreUnavailable):
                why = answer.cause
            elif isinstance(answer, StoreError):
                why = str(answer).replace(node.shown, "it")
                lasting += 1
            else:  # it has answered, or nobody has waited for it
                continue
            said.setdefault(why, []).append(node.place)
        lost = sum(map(len, said.values()))
        each = [f"{' and '.join(them)}: {why}" for why, them in said.items()]
        text = (
            f"{lost} of its {self.count} nodes did not take part, and {self.majority} have to;"
            f" {'; '.join(each)}"
        )
        if lasting > self.count - self.majority:
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
