"""Celery's plan, the heap of its entries by the time of each: the changes that a beat makes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["plan_sooner", "put_back"]

When = Callable[[Any, float], float]
"""The time in the plan at which an entry comes in so many seconds."""


def plan_sooner(heap: list[Any], latest: Mapping[str, float | None], when: When) -> None:
    """Plan each of these entries no later than in so many seconds; `None` leaves it as it is."""
    for place, event in enumerate(heap):
        seconds = latest.get(event.entry.name)
        if seconds is not None:
            sooner = min(event.time, when(event.entry, seconds))
            heap[place] = event._replace(time=sooner)
    heapq.heapify(heap)


def put_back(heap: list[Any], entry: Any, delay: float, when: When) -> bool:
    """Plan a refused entry anew where Celery has not; `True`: another one is first now.

    Before 5.7 Celery leaves such an entry on top, and those behind it never get their turn.
    """
    top = heap[0]
    if top.entry is not entry or top.time > when(entry, 0):
        return False
    heapq.heapreplace(heap, top._replace(time=when(entry, delay)))
    return heap[0].entry is not entry
