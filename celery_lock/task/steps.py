"""What to do next with a message of a locked task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..message import Header

__all__ = ["DropCopy", "Resend", "RunBody", "Skip", "Step"]


@dataclass(frozen=True)
class RunBody:
    """Run the body."""


@dataclass(frozen=True)
class Skip:
    """Return `result` without running the body."""

    result: Any


@dataclass(frozen=True)
class Resend:
    """Send the message again."""

    header: Header
    delay: float
    why: str


@dataclass(frozen=True)
class DropCopy:
    """End without running the body: the message is a copy of one that was completed."""


Step = RunBody | Skip | Resend | DropCopy
