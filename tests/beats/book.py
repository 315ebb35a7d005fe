"""The book of a run: every process appends what it does, one line each, by the wall clock."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.faults.bodies import tell as write
from tests.faults.history import read

__all__ = ["note", "read"]


def note(book: str | Path, what: str, **more: Any) -> None:
    """Append one line. No process may step this clock: due times are named by it."""
    write(book, what, **{"at": time.time()} | more)
