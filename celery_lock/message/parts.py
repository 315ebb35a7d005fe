"""What the main process gives to the pool process beside a request, where no body sees it."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Given", "Parts", "give", "leave", "parts_of", "take"]


class Parts(NamedTuple):
    """What only the main process knows of a delivery.

    A pool process is given the task's arguments and the headers in one flat dict, but neither
    which of these were headers nor the bytes of the body. They are the same objects that cross
    the pipe anyway: pickle writes each once, and this costs a few bytes, not another body.
    """

    body: Any
    content_type: str
    content_encoding: str
    headers: Any
    queue: str | None = None
    """The name of the queue that the message was taken from; `None`: it has none to go back to."""
    entity: bytes | None = None
    """How its consumer has declared that queue, pickled: see `Origin`."""
    broker: int = 0
    """The position of its broker in the app's list; never a URL, which may have a password."""
    nonce: str = ""
    """The name of the delivery: each has another one, a copy of the message too."""
    came: float | None = None
    """When the message came, by the steady clock of this machine."""
    epoch: int = 0
    """How often the worker had connected by then: see `connection_epoch()`."""
    rejected: int = 0
    """How many of the deliveries that the broker counts came of our own rejections."""
    facts: tuple[Any, ...] | None = None
    """What the broker says of that queue: see `Transport.reads`."""


class Given(dict[str, Any]):
    """The properties of a message, with the parts beside them: equal to the properties alone.

    On its way through the pipe it becomes a plain dict, the parts go past it (`_arrive`). So
    whoever looks at the request of a locked task sees what a plain one has.
    """

    __slots__ = ("parts",)

    def __init__(self, properties: dict[str, Any], parts: Parts) -> None:
        super().__init__(properties)
        self.parts = parts

    def __reduce__(self) -> Any:
        return _arrive, (dict(self), tuple(self.parts))


def give(request_dict: dict[str, Any], properties: Any, parts: Parts) -> None:
    """Put the parts beside the properties of a request, in the main process."""
    request_dict["properties"] = Given(properties or {}, parts)


def take(request: Any) -> None:
    """Keep the parts of a request that is about to run, and leave its properties plain.

    In a pool of threads the body is given the main process's own dict.
    """
    properties = request.properties
    if type(properties) is Given:
        _taken[id(request)] = properties.parts
        request.properties = dict(properties)
    elif properties is _last[0] and properties is not None:
        _taken[id(request)] = tuple.__new__(Parts, _last[1])


def leave(request: Any) -> None:
    """Forget the parts: the run of the request has ended."""
    _taken.pop(id(request), None)


def parts_of(request: Any) -> Parts | None:
    """Return the parts of a request that runs, or of one in the main process.

    `None`: it is not of our class (a custom `Strategy` makes its own), or no worker made it.
    """
    properties = request.properties
    if type(properties) is Given:  # nobody has taken them: an entry of its number is another's
        return properties.parts
    return _taken.get(id(request))


_taken: dict[int, Any] = {}
"""By the number of the request, which lives for as long as its entry here."""

_last: tuple[Any, Any] = (None, None)
"""The properties and the parts that came through the pipe last: a pool process has one task."""


def _arrive(properties: dict[str, Any], parts: tuple[Any, ...]) -> dict[str, Any]:
    global _last
    _last = (properties, parts)
    return properties
