"""The answers of all nodes to one call, those too that come when nobody waits any more."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeGuard

from ...errors import StoreError
from ...model.clock import monotonic
from ..redis.link.linking import Call

__all__ = ["SILENT", "Answers", "Enough", "Missed", "Silent", "is_failure"]

Missed = tuple[Call, float]
"""A call that a node is to hear of, and until when."""


class Silent(Enum):
    """What stands in the place of an answer that has not come."""

    SILENT = "silent"


SILENT = Silent.SILENT


def is_failure(answer: Any) -> TypeGuard[Silent | StoreError]:
    """It is no answer of the node, but what stands in its place."""
    return answer is SILENT or isinstance(answer, StoreError)


class Answers(list[Any]):
    """Of each node its reply, its `StoreError`, or `SILENT`."""

    def __init__(self, count: int, circle: object) -> None:
        super().__init__([SILENT] * count)
        self.circle = circle
        """The connections over which the nodes were asked: a later call over the same ones comes
        after this one at each node."""
        self.asked: set[int] = set()
        """Which nodes may have heard the call."""
        self.began = monotonic()
        self.is_vote = False
        self.is_over = False
        """Nobody waits for more of them."""
        self.undo: Missed | None = None
        """What a node is to hear that grants the claim when it is over already."""

    @property
    def unknown(self) -> list[int]:
        """Which nodes may have heard the call and have given no answer."""
        return [at for at in self.asked if is_failure(self[at])]


Enough = Callable[[Answers], bool]
"""Says that the answers decide, whatever the others would say."""
