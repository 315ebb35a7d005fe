"""The names of a tick's messages: each is a digest of what is sent, the same from every beat."""

from __future__ import annotations

import threading
import uuid
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Mapping, Set
from enum import Enum
from hashlib import sha256
from types import BuiltinFunctionType, FunctionType
from typing import Any

from celery.beat import BeatLazyFunc

__all__ = ["Names", "spelled"]

_DEEPEST = 30
"""How deep a value is looked into: one that holds itself has no end."""


class Names:
    """Names the messages of one tick.

    Two that are equal in all that is sent get a number: which is the first nobody can say.
    """

    def __init__(self, app: str, entry: str, due: float) -> None:
        self._tick = f"{app}\0{entry}\0{due:.6f}"
        self._numbers: Counter[str] = Counter()
        self._threads = threading.Lock()

    def next(self, sent: str) -> str:
        """Return the name that a message will get, if this is all that is sent."""
        return self._name(sent, self._numbers[sent])

    def take(self, sent: str) -> str:
        """Return the name of the next message of which this is sent."""
        with self._threads:  # a scheduler may publish from several
            number = self._numbers[sent]
            self._numbers[sent] = number + 1
        return self._name(sent, number)

    def id_of(self, name: str) -> str:
        """Return the task id of a message."""
        # an entry's name is any text, also one that utf-8 cannot write
        named = f"{self._tick}\0{name}".encode("utf-8", "backslashreplace")
        return str(uuid.uuid5(uuid.NAMESPACE_OID, named.decode()))

    def _name(self, sent: str, number: int) -> str:
        digest = sha256(f"{self._tick}\0{number}\0{sent}".encode("utf-8", "surrogatepass"))
        return urlsafe_b64encode(digest.digest()[:15]).decode()


def spelled(value: Any, depth: int = 0) -> str:
    """Return a text of a value which every process writes alike: no address, no order of a set."""
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return _plain(value)
    if depth > _DEEPEST:
        return "..."
    within = depth + 1
    if isinstance(value, Mapping):
        pairs = (f"{spelled(k, within)}:{spelled(v, within)}" for k, v in value.items())
        return f"{{{','.join(sorted(pairs))}}}"
    if isinstance(value, (list, tuple)):  # one becomes the other on its way
        return f"[{','.join(spelled(one, within) for one in value)}]"
    if isinstance(value, Set):
        return f"<{','.join(sorted(spelled(one, within) for one in value))}>"
    if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, BeatLazyFunc):  # what it returns is made anew by each beat
        return f"lazy{spelled(vars(value), within)}"
    return f"{spelled(type(value))}{_parts(value, within)}"


def _plain(value: Any) -> str:
    if isinstance(value, Enum):
        return f"{spelled(type(value))}.{value.name}"
    kinds: tuple[Any, ...] = (bool, int, float, str, bytes)
    for kind in kinds:
        if isinstance(value, kind):
            return str(kind.__repr__(value))
    return "None"


def _parts(value: Any, depth: int) -> str:
    """Return what a pickle would have of an object; nothing of one that cannot be pickled."""
    try:
        made = value.__reduce_ex__(2)
    except Exception:  # an object of any class
        return ""
    if isinstance(made, str):
        return made
    parts = [part if not hasattr(part, "__next__") else list(part) for part in made]
    return spelled(parts, depth)
