"""The book of a run: every process appends what it does, one line each, by the wall clock."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.faults.bodies import tell as _tell
from tests.faults.history import read

__all__ = ["read", "tell"]


def tell(book: str | Path, what: str, **more: Any) -> None:
    """Append one line. The clock is the one that slots are named by, so no process may step it."""
    _tell(book, what, **{"at": time.time()} | more)
