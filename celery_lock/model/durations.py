"""How long anything of a lock may last: what every store can keep."""

from __future__ import annotations

from ..backoff import LONGEST, Duration, seconds

__all__ = ["LONGEST", "Duration", "checked", "seconds"]


def checked(value: float, name: str) -> float:
    """Return `value`, in seconds, if a store can keep it.

    Raises `ValueError` for what is negative, no number, infinite, or longer than ten years.
    """
    if not 0.0 <= value <= LONGEST:  # false for NaN as well
        raise ValueError(f"{name}={value!r}: a store keeps 0 to {LONGEST:.0f} seconds")
    return value
