"""What a random play remembers of its holders."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import Claim, Lease

__all__ = ["Floor", "Hold"]


@dataclass(eq=False)
class Hold:
    """A lease as its holder sees it."""

    claim: Claim
    lease: Lease
    deadline: float
    ended: bool = False
    """Given back, undone, or lost by the play's own doing (a flush): nothing is promised now."""


@dataclass(eq=False)
class Floor:
    """How long a claim keeps others out, at least."""

    claim: Claim
    slot: int
    until: float
