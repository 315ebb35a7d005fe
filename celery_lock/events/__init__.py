"""Facts: what happened to a lock, and what each of them becomes."""

from .facts import (
    Acquired,
    Conflicted,
    CopyDropped,
    Fact,
    Lost,
    Released,
    StoreFailed,
    Subject,
    SwitchedOff,
)
from .observers import Observer, Observers

__all__ = [
    "Acquired",
    "Conflicted",
    "CopyDropped",
    "Fact",
    "Lost",
    "Observer",
    "Observers",
    "Released",
    "StoreFailed",
    "Subject",
    "SwitchedOff",
]
