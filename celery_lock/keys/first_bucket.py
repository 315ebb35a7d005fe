"""Who has to know that this process declares a key with a bucket of time, and hears of the first.

A bucket is known when its template is parsed, as the Lock is written: nothing later would do. A
process that only publishes may do so by name (`send_task`), and then binds no task before.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["at_first_bucket", "note_bucket"]

_at_first_bucket: list[Callable[[], None]] = []


def at_first_bucket(do: Callable[[], None]) -> None:
    """Call `do` once, as this process declares its first bucket."""
    _at_first_bucket.append(do)


def note_bucket() -> None:
    """A bucket is declared here: whoever has to know, is told."""
    while _at_first_bucket:
        _at_first_bucket.pop()()
