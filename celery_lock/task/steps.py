"""What to do next with a message of a locked task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..message import Header

__all__ = ["Again", "Dropped", "Go", "Skipped", "Step"]


@dataclass(frozen=True)
class Go:
    """Run the body."""


@dataclass(frozen=True)
class Skipped:
    """Return this, without running."""

    result: Any


@dataclass(frozen=True)
class Again:
    """Send the message again."""

    header: Header
    delay: float
    why: str


@dataclass(frozen=True)
class Dropped:
    """End without running: the message is a copy of one that was completed."""


Step = Go | Skipped | Again | Dropped
