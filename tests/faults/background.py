"""What goes on in a thread of its own while a scenario is played."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TypeVar

__all__ = ["Background"]

_Self = TypeVar("_Self", bound="Background")


class Background(ABC):
    """A thread that begins and ends with a `with` block."""

    def __init__(self, name: str) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self: _Self) -> _Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    @abstractmethod
    def _run(self) -> None:
        """Go on until `_over` is set."""
