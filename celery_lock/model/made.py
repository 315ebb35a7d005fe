"""Named tuples made in one step, for what each run of a task makes."""

from __future__ import annotations

from typing import Any

__all__ = ["made"]

made: Any = tuple.__new__
"""Makes a named tuple of a class from all its values, in their order. The constructor of such a
class is a function in Python, which takes three times as long."""
