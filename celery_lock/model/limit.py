"""How many leases of one key may live at once: what a limit may be."""

from __future__ import annotations

from typing import Any

from ..errors import LockConfigurationError

__all__ = ["MOST_PERMITS", "checked_limit"]

MOST_PERMITS = 256
"""Permits of a key at most: each claim looks at all of them."""


def checked_limit(value: Any, name: str) -> int:
    """Return `value` if it is a number of permits; `name`: where it stands, as in `Lock(limit)`."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and 1 <= value <= MOST_PERMITS:
        return int(value)
    # a number may have thousands of digits
    said = "..." if whole and abs(value) > 10**18 else repr(value)
    if whole and value > MOST_PERMITS:
        raise LockConfigurationError(
            f"{name}={said} is above {MOST_PERMITS}, which is the most that one key can have, since"
            " each claim looks at all permits of its key. Divide the work over several keys, such"
            " as 'api:{host}' instead of 'api'"
        )
    off = name.startswith("Lock") and (value is None or value == 0)
    hint = "; lock=None on the task switches its lock off" if off else ""
    raise LockConfigurationError(
        f"{name}={said} is no number of permits: it is how many may hold the key at once;"
        f" write a whole number from 1 to {MOST_PERMITS}, or leave it out for 1{hint}"
    )
