"""What waits for several sockets at once, also in a process that has too many files open."""

from __future__ import annotations

import selectors

__all__ = ["selector"]


def selector() -> selectors.BaseSelector:
    """Return a selector: the best of this system, or one that needs no file of its own."""
    try:
        return selectors.DefaultSelector()
    except OSError:
        kind: type[selectors.BaseSelector]
        kind = getattr(selectors, "PollSelector", selectors.SelectSelector)
        return kind()
