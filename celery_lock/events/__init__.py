"""Facts: what happened to a lock, and what each of them becomes."""

from .facts import (
    Acquired,
    Conflicted,
    CopyDropped,
    Fact,
    Lost,
    Observer,
    Observers,
    Released,
    StoreFailed,
    Subject,
)

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
]
