"""One step: a few entries are read, looked at beside the time, and written back, all at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .entry_names import EntryNames
from .key_state import Interval
from .redacted import redacted

__all__ = ["Entry", "Move", "Stepping"]

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """What is to be written under a name."""

    text: str
    until: int
    """Microseconds since 1970: after that the entry may be forgotten, and need not be."""


Move = Callable[[Sequence[str | None], Interval], tuple[T, Mapping[str, Entry]]]
"""What is done in one step: it is shown the entries' texts (`None`: there is none) and the time,
and returns the answer and what to write: some of these entries. It has no side effects, so it may
be called again."""


class Stepping(ABC):
    """A place with entries, and a step over them; a subclass says what a step is."""

    def __init__(self, url: str, *, deadline: float, prefix: str) -> None:
        self._url = redacted(url)
        self._names = EntryNames(prefix)
        self.deadline = deadline
        """An undone claim is refused for so long should it still arrive."""

    @abstractmethod
    def step(self, names: Sequence[str], move: Move[T], within: float) -> T:
        """Read the entries of these names, let `move` look at them, write what it returns.

        All at once: nobody else reads or writes one of these entries in between. Raises a
        `StoreError` for whatever goes wrong, and then nothing was written, or it is not known
        whether it was; `StoreUnavailable` when it has taken `within` seconds.

        No name is given twice, and there may be none. Names and texts are ASCII, one line each,
        and a name has at most 1,000 characters.
        """

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return self._url
