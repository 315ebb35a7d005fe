"""How long anything of a lock may last: what every store can keep."""

from __future__ import annotations

from ..backoff import LONGEST

__all__ = ["LONGEST", "checked"]


def checked(seconds: float, name: str) -> float:
    """Return `seconds` if a store can keep it.

    Raises `ValueError` for what is negative, no number, infinite, or longer than ten years.
    """
    if not 0.0 <= seconds <= LONGEST:  # false for NaN as well
        raise ValueError(f"{name}={seconds!r}: a store keeps 0 to {LONGEST:.0f} seconds")
    return seconds
