"""What a worker has rejected itself since nobody took it, and so counts as no delivery.

The broker counts it all the same, against its own limit of the message that it has. But it says
nothing about the body, and so it is left out of the sum that is carried to the next message.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from .carried import HEADER

__all__ = ["note_rejection", "rejections_of"]

_MOST = 10_000
"""How many messages are remembered; a message that is forgotten is counted as its broker does."""

_rejected: OrderedDict[tuple[Any, ...], int] = OrderedDict()


def note_rejection(headers: Mapping[str, Any] | None, queue: str | None) -> None:
    """Remember that a message was given back to its broker, in the main process."""
    name = _name(headers, queue)
    _rejected[name] = _rejected.pop(name, 0) + 1
    if len(_rejected) > _MOST:
        _rejected.popitem(last=False)


def rejections_of(headers: Mapping[str, Any] | None, queue: str | None) -> int:
    """Return how often this very message was given back by this worker."""
    return _rejected.get(_name(headers, queue), 0) if _rejected else 0


def _name(headers: Mapping[str, Any] | None, queue: str | None) -> tuple[Any, ...]:
    # our header is another one in each message that was made of it: that counts something
    given = headers or {}
    return given.get("id"), queue, repr(given.get(HEADER))
