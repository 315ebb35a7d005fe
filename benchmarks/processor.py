"""Processor time that a worker and its children have used, to the nanosecond where Linux counts."""

from __future__ import annotations

from pathlib import Path

__all__ = ["used"]

_PROC = Path("/proc")


def used(pid: int) -> float | None:
    """Return the seconds that a process, its threads and its children have run so far.

    `None` where the system does not tell. A child that has ended is no longer counted.
    """
    try:
        return _used(pid) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _used(pid: int) -> int:
    total = 0
    for thread in (_PROC / str(pid) / "task").iterdir():
        total += int((thread / "schedstat").read_text().split()[0])
        for child in (thread / "children").read_text().split():
            total += _used(int(child))
    return total
