"""What a Lock has become for one task: every default filled in."""

from __future__ import annotations

from dataclasses import dataclass

from .keys import KeySource
from .model import Lock, OnConflict, OnStoreError

__all__ = ["Terms"]


@dataclass(frozen=True)
class Terms:
    """A bound lock. Times are in seconds."""

    lock: Lock
    key: KeySource
    ttl: float
    at_least: float
    at_most: float | None
    on_conflict: OnConflict
    on_store_error: OnStoreError
