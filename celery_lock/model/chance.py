"""Chance that no program has seeded.

One that seeds `random` wants the same numbers at each run, so a library must not use them up. And
they are alike in each child of a pool, whose messages would all come again at one moment.
"""

from __future__ import annotations

from random import SystemRandom

__all__ = ["chance"]

chance = SystemRandom()
"""Draws from the system. What stands below the model, `backoff`, has one of its own."""
