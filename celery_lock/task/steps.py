"""What to do next with a message of a locked task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..message import Header

__all__ = ["DropCopy", "GiveUp", "Resend", "RunBody", "Skip", "Step"]


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


@dataclass(frozen=True)
class GiveUp:
    """End without running the body: the message belongs into its dead-letter queue."""

    why: str


Step = RunBody | Skip | Resend | DropCopy | GiveUp
