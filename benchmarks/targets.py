"""What the numbers have to be, and whether they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from . import contenders, cycles, renewals, tasknames, throughput
from .results import Results
from .sizes import Sizes

__all__ = ["Verdict", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """One target, and what was found."""

    target: str
    found: float
    met: bool

    def __str__(self) -> str:
        return f"{'met   ' if self.met else 'MISSED'}  {self.target}: {self.found:.3g}"
